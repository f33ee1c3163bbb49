"""Conversation -> Rendered: the text of a row, as pieces that carry their origin and their mask.

The mask is decided here, where the text is laid down, and never searched for afterwards.
"""

from collections.abc import Callable, Sequence

from sftcli.conversation import Conversation, Message, Segment
from sftcli.errors import RecordError
from sftcli.mask import MaskPolicy
from sftcli.rendered import Outline, Piece, Rendered
from sftcli.templates import Part, PromptTemplate, RoleTemplate, TurnLayout

_ONLY_END = "the answer is empty but for the text of the terminator; drop the record or fill it in"

Renderer = Callable[[Conversation], Rendered]
Flags = tuple[bool | None, bool | None]  # those of a prompt's message and of its answer's

_MAX_OUTLINES = 4096  # rows of ever new layouts must not fill the memory
_MAX_KEPT_TURNS = 64
_NO_FLAGS: Flags = (None, None)
_EMPTY = ""  # in a shape: the message before it has no text


class RoleRenderer:
    """Lays conversations out with a role template.

    `system` stands in where the record has no system message of its own.
    """

    def __init__(self, template: RoleTemplate, policy: MaskPolicy, system: str | None) -> None:
        self._template = template
        self._policy = policy
        self._system = template.default_system if system is None else system
        self._outlines: dict[tuple[object, ...], Outline] = {}

    def __call__(self, conversation: Conversation) -> Rendered:
        """The row's pieces. Raises RecordError where the template has no layout for a message."""
        given, template = conversation.messages, self._template
        messages = with_system(given, self._system)
        # Turns are counted as in the record: a system message that was put before it is turn -1.
        first = turn = len(given) - len(messages)
        notes: tuple[str, ...] = ("tools_left_out",) if conversation.tools else ()
        data: list[str] = []
        shape: list[object] = [first]  # all that the outline depends on
        merges = template.system_in_user is not None and messages[0].role == "system"
        if merges:
            self._check_merge(messages, first)
        for message in messages:
            role, text = message.role, message.content
            layout = template.roles.get(role)
            if merges and turn == first:
                pass  # the system text stands as it is, never trimmed
            elif layout is None or message.tool_calls or message.reasoning_content:
                raise template.refusal(message, turn)
            else:
                if template.trim:
                    text = text.strip()
                if role == "assistant" and text.endswith(layout.end):
                    text = self._without_end(text, layout, given, turn)
                    notes += ("terminator_in_content",)
            shape.append(role)
            if message.trained is not None:
                shape.append(message.trained)
            if text:
                data.append(text)
            else:
                shape.append(_EMPTY)
            turn += 1
        key = tuple(shape)
        outline = self._outlines.get(key)
        if outline is None:
            outline = self._outline(messages, first, _filled(shape))
            if len(messages) <= _MAX_KEPT_TURNS:
                if len(self._outlines) >= _MAX_OUTLINES:
                    self._outlines.clear()
                self._outlines[key] = outline
        return Rendered(outline, data, notes)

    def _without_end(self, text: str, layout: TurnLayout, messages: list[Message], turn: int) -> str:
        """An answer that already ends in the terminator's text does not get a second one."""
        text = text.removesuffix(layout.end)
        text = text.strip() if self._template.trim else text
        if not text and self._policy.turns(messages)[turn]:
            raise RecordError("empty_answer", f"message {turn}: {_ONLY_END}", path=("messages", turn))
        return text

    def _outline(self, messages: list[Message], turn: int, filled: list[bool]) -> Outline:
        """The pieces around the messages; `filled` tells which of these have text."""
        template, policy = self._template, self._policy
        trained = policy.turns(messages)
        last = _last(trained)
        pieces = [Piece(template.begin, False, policy.everything)] if template.begin else []
        merged: list[Piece] = []
        for index, (message, train) in enumerate(zip(messages, trained, strict=True)):
            place = (turn + index, message.role)
            if index == 0 and message.role == "system" and template.system_in_user is not None:
                before, _, after = template.system_in_user.partition("{system}")
                merged = [Piece(text, False, train, *place) for text in (before, after) if text]
                merged[bool(before) : 0] = [Piece("", True, train, *place)] * filled[index]
                continue
            layout = template.roles[message.role]
            around_it = policy.layout_trained(message.role)
            around = (
                (layout.before, around_it),
                (layout.lead, train),
                (layout.end, policy.end_trained(message.role, train, index == last)),
                (layout.after, around_it),
            )
            laid = [Piece(text, False, flag, *place) for text, flag in around]
            laid[2:2] = [*merged, *[Piece("", True, train, *place)] * filled[index]]
            merged = []
            pieces += [piece for piece in laid if piece.content or piece.text]
        if template.close:
            pieces.append(Piece(template.close, False, policy.close_trained))
        return Outline(pieces)

    def _check_merge(self, messages: list[Message], turn: int) -> None:
        """The system text stands at the head of the first user turn, so there must be one."""
        if len(messages) < 2 or messages[1].role != "user":
            raise RecordError(
                "unsupported_role",
                f"template {self._template.name!r} has no system turn; it puts the system text before the "
                "first user message, and here no user message follows it",
                path=("messages", max(turn, 0)),
            )


def _filled(shape: Sequence[object]) -> list[bool]:
    """Which messages of a shape have text."""
    filled: list[bool] = []
    for part in shape:
        if part == _EMPTY:
            filled[-1] = False
        elif isinstance(part, str):
            filled.append(True)
    return filled


def render_chat(
    conversation: Conversation, template: RoleTemplate, policy: MaskPolicy, system: str | None
) -> Rendered:
    """One conversation laid out with a role template; see RoleRenderer, which serves many."""
    return RoleRenderer(template, policy, system)(conversation)


class PromptRenderer:
    """Lays records' fields out with a prompt template: prompt, completion, one terminator."""

    def __init__(self, template: PromptTemplate, policy: MaskPolicy, system: str | None) -> None:
        self._template = template
        self._policy = policy
        self._system = system
        self._outlines: dict[tuple[object, ...], Outline] = {}
        self._holes = [_holes((*parts, *template.completion)) for _, parts in template.variants]
        self._ends_in_a_field = template.completion[-1][1]

    def __call__(self, conversation: Conversation) -> Rendered:
        """The row's pieces. Raises RecordError where a field is missing or the answer is empty."""
        template = self._template
        fields = template.fields_of(conversation, self._system)
        wording = template.wording(fields)
        names, places = self._holes[wording]
        data = template.values(names, fields)
        notes: tuple[str, ...] = ()
        if self._ends_in_a_field and (not data[-1] or data[-1].endswith(template.end)):
            notes = self._drop_end(data)
        empty: tuple[int, ...] = ()
        if "" in data:
            empty = tuple([place for place, text in zip(places, data, strict=True) if not text])
            data = [text for text in data if text]
        key: tuple[object, ...] = (wording, empty)
        flags = _NO_FLAGS
        if not conversation.fields:
            asked, answered = conversation.messages[-2:]
            flags = asked.trained, answered.trained
            key = (flags, *key)
        outline = self._outlines.get(key)
        if outline is None:
            outline = self._outlines[key] = self._outline(wording, flags, empty)
        return Rendered(outline, data, notes)

    def _drop_end(self, data: list[str]) -> tuple[str, ...]:
        """An answer that ends in the terminator's text does not get a second one. Returns the notes."""
        completion, end = self._template.completion, self._template.end
        first = len(data) - sum(is_field for _, is_field in completion)
        own = iter(data[first:])
        answer = [next(own) if is_field else text for text, is_field in completion]
        last = next((index for index in reversed(range(len(answer))) if answer[index]), 0)
        if not completion[last][1] or not answer[last].endswith(end):
            return ()
        answer[last] = answer[last].removesuffix(end)
        if not any(answer):
            raise RecordError("empty_answer", _ONLY_END)
        data[first:] = [text for text, (_, is_field) in zip(answer, completion, strict=True) if is_field]
        return ("terminator_in_content",)

    def _outline(self, wording: int, flags: Flags, empty: Sequence[int]) -> Outline:
        """The pieces of the template's parts, but those that are `empty`."""
        template, policy = self._template, self._policy
        asked, answered = policy.turns([Message("user", "", flags[0]), Message("assistant", "", flags[1])])
        prompt = template.variants[wording][1]
        pieces = [Piece(template.begin, False, policy.everything)] if template.begin else []
        for index, (text, is_field) in enumerate(prompt + template.completion):
            if index not in empty and (text or is_field):
                place = (asked, 0, "user") if index < len(prompt) else (answered, 1, "assistant")
                pieces.append(Piece("" if is_field else text, is_field, *place))
        end = policy.end_trained("assistant", answered, answered)
        return Outline([*pieces, Piece(template.end, False, end, 1, "assistant")])


def _holes(parts: Sequence[Part]) -> tuple[list[str], list[int]]:
    """The names of the fields among a template's parts, and which parts these are."""
    places = [index for index, (_, is_field) in enumerate(parts) if is_field]
    return [parts[index][0] for index in places], places


def render_prompt(
    conversation: Conversation, template: PromptTemplate, policy: MaskPolicy, system: str | None
) -> Rendered:
    """One record laid out with a prompt template; see PromptRenderer, which serves many."""
    return PromptRenderer(template, policy, system)(conversation)


def render_segments(conversation: Conversation, begin: str, end: str, policy: MaskPolicy) -> Rendered:
    """Lay out a record that brings its own layout: one BOS, its segments, one EOS.

    A BOS or EOS that the record spells itself at its very start or end is not doubled. The EOS is
    trained where the segment before it is.
    """
    segments = conversation.segments or []
    pieces = [Piece(begin, False, policy.everything)] if begin else []
    notes: list[str] = []
    for index, segment in enumerate(segments):
        text = segment.text
        if index == 0 and begin:
            text = text.removeprefix(begin)
        if index == len(segments) - 1 and end and text.endswith(end):
            text = text.removesuffix(end)
            notes.append("terminator_in_content")
        if text:
            role = _role(segment)
            pieces.append(Piece(text, True, policy.role_trained(role, segment.trained), index, role))
    if not any(piece.content for piece in pieces):
        raise RecordError("empty_text", "there is no text but that of control tokens; drop the record")
    if end:
        last = next(segment for segment in segments[::-1] if segment.text)
        role = _role(last)
        trained = policy.role_trained(role, last.trained)
        trained = policy.end_trained(role, trained, trained)
        pieces.append(Piece(end, False, trained, len(segments) - 1, role))
    return Rendered.of(pieces, tuple(notes))


def _role(segment: Segment) -> str:
    """Whose text a segment is taken to be."""
    return "assistant" if segment.trained else "user"


def _last(flags: list[bool]) -> int:
    """The place of the last True, or -1."""
    return len(flags) - 1 - flags[::-1].index(True) if True in flags else -1


def with_system(messages: list[Message], system: str | None) -> list[Message]:
    """The messages with a system message at the head, where there is none and one is given."""
    if not messages:
        raise RecordError("empty_messages", "the conversation has no messages", path=("messages",))
    if system is None or system == "" or messages[0].role == "system":
        return messages
    return [Message("system", system), *messages]

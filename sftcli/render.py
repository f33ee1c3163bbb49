"""Conversation -> Rendered: the text of a row, as pieces that carry their origin and their mask.

The mask is decided here, where the text is laid down, and never searched for afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError
from sftcli.templates import PromptTemplate, RoleTemplate, TurnLayout

TrainOn = Literal["assistant", "last", "all"]
TrainOnEos = Literal["turn", "last", "none", "all"]


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A stretch of a row's text.

    `content` is True for data, which never becomes a control token, and False for template text,
    which may. `turn` counts the conversation's messages from 0; template text that belongs to no
    message has turn -1 and role "".
    """

    text: str
    content: bool
    trained: bool
    turn: int = -1
    role: str = ""


class Rendered(msgspec.Struct, gc=False):
    """One row before tokenizing. `notes` names what the user should know, each counted once."""

    pieces: list[Piece]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


_ONLY_END = "the answer is empty but for the text of the terminator; drop the record or fill it in"

Renderer = Callable[[Conversation], Rendered]


@dataclass(frozen=True)
class MaskPolicy:
    """Which turns are trained, and which turns' terminators (MaskPolicy() is contract M2).

    `train_on`: every assistant turn, the last one only, or all text. `train_on_eos`: the
    terminator of each trained turn, of the last trained turn only, of none, or of every turn
    whoever speaks (`all`, which includes a template's closing token).
    """

    train_on: TrainOn = "assistant"
    train_on_eos: TrainOnEos = "turn"


_Around = tuple[tuple[Piece, ...], tuple[Piece, ...]]
_MAX_AROUND = 4096


class RoleRenderer:
    """Lays conversations out with a role template.

    `system` stands in where the record has no system message of its own.
    """

    def __init__(self, template: RoleTemplate, policy: MaskPolicy, system: str | None) -> None:
        self._template = template
        self._policy = policy
        self._system = template.default_system if system is None else system
        self._everything = policy.train_on == "all"
        self._begin = [Piece(template.begin, False, self._everything)] if template.begin else []
        close = policy.train_on_eos == "all" or (self._everything and policy.train_on_eos != "none")
        self._close = [Piece(template.close, False, close)] if template.close else []
        self._known: dict[tuple[int, str, bool, bool], _Around] = {}

    def __call__(self, conversation: Conversation) -> Rendered:
        """The row's pieces. Raises RecordError where the template has no layout for a message."""
        template, eos = self._template, self._policy.train_on_eos
        messages = with_system(conversation.messages, self._system)
        trained = trained_turns(messages, self._policy)
        # Turns are counted as in the record: a system message that was put before it is turn -1.
        turn = len(conversation.messages) - len(messages)
        merged: list[Piece] = []
        if template.system_in_user is not None and messages[0].role == "system":
            merged = _merged_system(messages, template, trained[0], turn)
            messages, trained, turn = messages[1:], trained[1:], turn + 1
        last_trained = turn + _last(trained) if eos == "last" else -2

        pieces = self._begin.copy()
        notes: tuple[str, ...] = ("tools_left_out",) if conversation.tools else ()
        for message, train in zip(messages, trained, strict=True):
            layout = template.layout(message, turn)
            role = message.role
            text = message.content.strip() if template.trim else message.content
            if role == "assistant" and text.endswith(layout.end):
                # An answer that already ends in the terminator's text does not get a second one.
                text = text.removesuffix(layout.end)
                text = text.strip() if template.trim else text
                notes += ("terminator_in_content",)
                if train and not text:
                    raise RecordError("empty_answer", f"message {turn}: {_ONLY_END}", path=("messages", turn))
            end = train if eos == "turn" else _end_trained(self._policy, train, turn == last_trained)
            key = (turn, role, train, end)
            before, after = self._known.get(key) or self._around(key, layout)
            pieces += before
            if merged:
                pieces += merged
                merged = []
            if text:
                pieces.append(Piece(text, True, train, turn, role))
            pieces += after
            turn += 1
        return Rendered(pieces + self._close, notes)

    def _around(self, key: tuple[int, str, bool, bool], layout: TurnLayout) -> _Around:
        """The template's pieces before and after a message, remembered: rows share them."""
        turn, role, train, end = key
        before = ((layout.before, self._everything), (layout.lead, train))
        after = ((layout.end, end), (layout.after, self._everything))
        around = (
            tuple(Piece(text, False, trained, turn, role) for text, trained in before if text),
            tuple(Piece(text, False, trained, turn, role) for text, trained in after if text),
        )
        if len(self._known) >= _MAX_AROUND:
            self._known.clear()  # a conversation of a million turns must not fill the memory
        self._known[key] = around
        return around


def render_chat(
    conversation: Conversation, template: RoleTemplate, policy: MaskPolicy, system: str | None
) -> Rendered:
    """One conversation laid out with a role template; see RoleRenderer, which serves many."""
    return RoleRenderer(template, policy, system)(conversation)


def render_prompt(
    conversation: Conversation, template: PromptTemplate, policy: MaskPolicy, system: str | None
) -> Rendered:
    """Lay a record's fields out with a prompt template: prompt, completion, one terminator."""
    fields = template.fields_of(conversation, system)
    everything = policy.train_on == "all"
    pieces = [Piece(template.begin, False, everything)] if template.begin else []
    for text, content in template.prompt_parts(fields):
        pieces.append(Piece(text, content, everything, 0, "user"))
    completion = template.completion_parts(fields)
    notes: tuple[str, ...] = ()
    if completion and completion[-1][1] and completion[-1][0].endswith(template.end):
        text = completion.pop()[0].removesuffix(template.end)
        completion += [(text, True)] if text else []
        notes = ("terminator_in_content",)
        if not completion:
            raise RecordError("empty_answer", _ONLY_END)
    for text, content in completion:
        pieces.append(Piece(text, content, True, 1, "assistant"))
    pieces.append(Piece(template.end, False, _end_trained(policy, True, True), 1, "assistant"))
    return Rendered(pieces, notes)


def render_segments(conversation: Conversation, begin: str, end: str, policy: MaskPolicy) -> Rendered:
    """Lay out a record that brings its own layout: one BOS, its segments, one EOS.

    A BOS or EOS that the record spells itself at its very start or end is not doubled. The EOS is
    trained where the segment before it is.
    """
    segments = conversation.segments or []
    everything = policy.train_on == "all"
    pieces = [Piece(begin, False, everything)] if begin else []
    notes: list[str] = []
    for index, segment in enumerate(segments):
        text = segment.text
        if index == 0 and begin:
            text = text.removeprefix(begin)
        if index == len(segments) - 1 and end and text.endswith(end):
            text = text.removesuffix(end)
            notes.append("terminator_in_content")
        if text:
            role = "assistant" if segment.trained else "user"
            pieces.append(Piece(text, True, segment.trained or everything, index, role))
    if not any(piece.content for piece in pieces):
        raise RecordError("empty_text", "there is no text but that of control tokens; drop the record")
    if end:
        last = next(segment.trained for segment in segments[::-1] if segment.text) or everything
        pieces.append(Piece(end, False, _end_trained(policy, last, last), len(segments) - 1, ""))
    return Rendered(pieces, tuple(notes))


def trained_turns(messages: list[Message], policy: MaskPolicy) -> list[bool]:
    """Which messages are trained: the record's own flag where it has one, else the policy."""
    if policy.train_on == "assistant":
        return [m.role == "assistant" if m.trained is None else m.trained for m in messages]
    everything = policy.train_on == "all"
    last = _last([message.role == "assistant" for message in messages])
    return [
        (everything or index == last) if message.trained is None else message.trained
        for index, message in enumerate(messages)
    ]


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


def _end_trained(policy: MaskPolicy, turn_trained: bool, is_last_trained: bool) -> bool:
    if policy.train_on_eos == "turn":
        return turn_trained
    if policy.train_on_eos == "last":
        return is_last_trained
    return policy.train_on_eos == "all"


def _merged_system(messages: list[Message], template: RoleTemplate, trained: bool, turn: int) -> list[Piece]:
    """The system text as it stands at the head of the first user turn, itself never trimmed."""
    if len(messages) < 2 or messages[1].role != "user":
        raise RecordError(
            "unsupported_role",
            f"template {template.name!r} has no system turn; it puts the system text before the first "
            "user message, and here no user message follows it",
            path=("messages", max(turn, 0)),
        )
    before, _, after = (template.system_in_user or "").partition("{system}")
    pieces = (
        Piece(before, False, trained, turn, "system"),
        Piece(messages[0].content, True, trained, turn, "system"),
        Piece(after, False, trained, turn, "system"),
    )
    return [piece for piece in pieces if piece.text]

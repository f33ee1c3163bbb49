"""One conversation's proof: its spans, and two checks against renders by Jinja's own code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError
from sftcli.jinja.alike import LONG, kind_of, spans_by_kind
from sftcli.jinja.data import plain_text, template_messages, template_tools, tracked_text
from sftcli.jinja.layout import Hole, Layout, read_layout
from sftcli.jinja.program import Program
from sftcli.jinja.spans import Prover, Span, UnprovenError, marked_spans
from sftcli.render import with_system

_KEPT_RENDERS = 16  # of parts of a conversation; to prove a turn takes five, and the next turn others
_NO_HOLE = Hole(0, 0, 0, "")
_SOMEBODY = 1 << 40  # the turn of a message that is made up to see how a conversation goes on


@dataclass(frozen=True)
class Row:
    """A conversation as a template lays it out. `first` is the turn of its first message."""

    messages: list[Message]
    first: int
    tools: list[dict[str, Any]] | None
    data: list[dict[str, Any]]
    tool_data: list[Any] | None
    layout: Layout

    @property
    def roles(self) -> dict[int, str]:
        """Whose each turn is."""
        return {self.first + index: message.role for index, message in enumerate(self.messages)}

    @cached_property
    def assistants(self) -> list[int]:
        return [index for index, message in enumerate(self.messages) if message.role == "assistant"]


def lay_out(program: Program, conversation: Conversation, system: str | None) -> Row:
    """Render a conversation once, tracked. A system text that is not the record's own is turn -1."""
    messages = with_system(conversation.messages, system)
    first = len(conversation.messages) - len(messages)
    data = template_messages(messages, first, program.shape, tracked_text)
    tool_data = template_tools(conversation.tools, tracked_text)
    layout = read_layout(program.run(program.tracked, data, tool_data))
    return Row(messages, first, conversation.tools, data, tool_data, layout)


def prover(program: Program, row: Row, usual_prompt: str, usual_end: str | None) -> Prover:
    """A prover that renders parts of the row, each once. `usual_end`: None while it is being found."""
    whole = (len(row.data), False, False)
    known: dict[tuple[int, bool, bool], Layout | None] = {whole: row.layout}
    user = template_messages([Message("user", "Go on")], _SOMEBODY, program.shape, tracked_text)

    def render(count: int, prompt: bool, more: bool = False) -> Layout | None:
        key = (count, prompt, more)
        if key not in known:
            if len(known) > _KEPT_RENDERS:
                known.pop(next(other for other in known if other != whole))
            data = row.data[:count] + user * more
            try:
                known[key] = read_layout(program.run(program.tracked, data, row.tool_data, prompt))
            except RecordError:
                known[key] = None
        return known[key]

    def continued(count: int) -> Layout | None:
        return render(count, False, True) if count == len(row.data) else None

    return Prover(row.layout, row.first, render, continued, program.markers, usual_prompt, usual_end)


def usual_turn(program: Program) -> tuple[str, str]:
    """What the generation prompt adds after a plain user message, and what ends a plain answer."""
    try:
        row = lay_out(
            program, Conversation(messages=[Message("user", "Hi"), Message("assistant", "Yes")]), None
        )
    except RecordError:
        return "", ""
    prompt = prover(program, row, "", None).prompt(1)
    try:
        span = prover(program, row, prompt, None).span(1)
    except UnprovenError:
        return prompt, ""
    return prompt, row.layout.text[slice(*span.end)]


def prove_spans(
    program: Program, row: Row, usual: tuple[str, str], given: Sequence[int] = ()
) -> dict[int, Span]:
    """The span of each assistant turn. Raises RecordError with the message and the reason.

    `given` is what `starts_given` finds; empty where no generation prompt ends in what data begins with.
    """
    known = prover(program, row, *usual)

    def prove(index: int) -> Span:
        try:
            return known.span(index)
        except UnprovenError as reason:
            raise _unproven(program, row.first + index, str(reason)) from None

    if len(row.messages) <= LONG:
        spans = {index: prove(index) for index in row.assistants}
    else:
        starts = dict(zip(row.assistants, given, strict=True)) if given else {}
        kinds = {index: kind_of(known, row.messages, index, starts.get(index, 0)) for index in row.assistants}
        spans = spans_by_kind(known, kinds, prove)
    return {row.first + index: span for index, span in spans.items()}


def take_marks(program: Program, row: Row) -> dict[int, Span]:
    """The span of each assistant turn as the template's generation blocks mark it."""
    turns = [row.first + index for index in row.assistants]
    try:
        spans = marked_spans(row.layout, turns, program.markers) if turns else {}
    except UnprovenError as reason:
        raise RecordError("unproven_mask", f"template {program.name!r}: {reason}") from None
    for turn in turns:
        if turn not in spans:
            raise _unproven(program, turn, "no generation block of the template is its own")
    return spans


def _unproven(program: Program, turn: int, reason: str) -> RecordError:
    marks = "; the template marks its answers itself: --spans marks takes them" if program.has_marks else ""
    return RecordError(
        "unproven_mask",
        f"message {turn}: template {program.name!r}: its trained part cannot be proven: {reason}{marks}",
        path=("messages", turn) if turn >= 0 else (),
    )


def check_text(program: Program, row: Row) -> None:
    """The tracked text is the template's own text."""
    if program.render_plain(row.messages, row.first, row.tools, plain_text) != row.layout.text:
        raise RecordError("unproven_mask", f"template {program.name!r}: the tracked text is not its own text")


def check_places(program: Program, row: Row) -> None:
    """Each message's letters stand where its spans are: with other letters, just those change."""
    try:
        text = program.render_plain(row.messages, row.first, row.tools, program.disguise)
    except RecordError as problem:
        raise RecordError(problem.code, f"{problem.message} (with other letters in its texts)") from None
    at = 0
    for hole in row.layout.holes:
        between = row.layout.text[at : hole.start]
        if not text.startswith(between, at) or not _stands_disguised(program, row, hole, text):
            raise _misplaced(program, hole.turn)
        at = hole.stop
    if text[at:] != row.layout.text[at:]:
        raise _misplaced(program, -1)


def _stands_disguised(program: Program, row: Row, hole: Hole, text: str) -> bool:
    """Whether the hole's own text stands in its place with other letters, as it is or in JSON."""
    own, at = row.layout.text[hole.start : hole.stop], hole.start
    return any(
        text.startswith(program.disguise(own, hole.turn, hole.field, as_json=as_json), at)
        for as_json in (False, True)
    )


def _misplaced(program: Program, turn: int) -> RecordError:
    where = f"message {turn}: " if turn >= 0 else ""
    return RecordError(
        "unproven_mask",
        f"{where}template {program.name!r}: with other letters in its texts the template lays them out "
        "differently, so that their places cannot be proven in a second way",
        path=("messages", turn) if turn >= 0 else (),
    )


def left_out(row: Row) -> list[str]:
    """Notes on texts that the template leaves out. Raises RecordError for a whole message or tool call."""
    shown: dict[int, set[str]] = {}
    for hole in row.layout.holes:
        shown.setdefault(hole.turn, set()).add(hole.field)
    notes: list[str] = []
    if row.tools and not any(hole.field == "tools" for hole in row.layout.holes):
        notes.append("tools_left_out")
    for index, message in enumerate(row.messages):
        turn = row.first + index
        fields = shown.get(turn, set())
        for number in range(len(message.tool_calls or ())):
            if f"tool_calls.{number}" not in fields:
                raise _dropped(turn, f"tool call {number} of it", ("tool_calls", number))
        if message.content.strip() and "content" not in fields:
            if not message.tool_calls:
                raise _dropped(turn, f"this {message.role} message", ())
            notes.append("content_left_out")
        if (message.reasoning_content or "").strip() and "reasoning_content" not in fields:
            notes.append("reasoning_left_out")
    return notes


def _dropped(turn: int, what: str, path: tuple[str | int, ...]) -> RecordError:
    where = f"message {turn}" if turn >= 0 else "the system text"
    return RecordError(
        "template_drops_text",
        f"{where}: the template leaves out {what}; take one that lays it out",
        path=("messages", turn, *path) if turn >= 0 else (),
    )


def starts_given(row: Row, prompt_ends: Mapping[str, int]) -> tuple[int, ...]:
    """For each assistant turn, with which of a generation prompt's ends its data begins, if any."""
    text, ends = row.layout.text, tuple(prompt_ends)
    first: dict[int, Hole] = {}
    for hole in row.layout.holes:
        first.setdefault(hole.turn, hole)
    found = []
    for index in row.assistants:
        hole = first.get(row.first + index, _NO_HOLE)
        if text.startswith(ends, hole.start, hole.stop):
            found.append(
                next(prompt_ends[end] for end in ends if text.startswith(end, hole.start, hole.stop))
            )
        else:
            found.append(0)
    return tuple(found)

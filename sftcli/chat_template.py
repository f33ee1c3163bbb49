"""Jinja chat templates: a conversation's pieces, with every span proven.

The text is what transformers' apply_chat_template makes. Whose each character is comes out of the
render itself (`sftcli.jinja.tracked`); where turns start and end is proven on it
(`sftcli.jinja.spans`); and both are checked against plain renders by Jinja's own code.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import jinja2
from jinja2 import nodes

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError, TemplateError, TokenizerError
from sftcli.jinja.budget import LimitError
from sftcli.jinja.data import (
    Disguise,
    Shape,
    TextOf,
    plain_text,
    template_messages,
    template_tools,
    tracked_text,
)
from sftcli.jinja.filters import MARKUP
from sftcli.jinja.layout import Layout, Markers, read_layout
from sftcli.jinja.pieces import Plan, make_plan
from sftcli.jinja.sandbox import CompiledTemplate, PlainEnvironment, Refusal, TrackedEnvironment
from sftcli.jinja.spans import Prover, Span, Unproven, marked_spans
from sftcli.jinja.tracked import Untrackable
from sftcli.render import MaskPolicy, Rendered, with_system
from sftcli.tokenizer import Tokenizer

Spans = Literal["auto", "derived", "marks"]
Injected = Literal["train", "mask"]

DATE = date(2024, 7, 26)  # the date that Llama 3.1's template names where it is given none
_MAX_SOURCE = 1 << 20
_MAX_PLANS = 4_096
_CHECKED = 16  # one row in so many is checked again, chosen by its own text


class ChatTemplate:
    """A compiled chat template with its tokenizer's markers.

    `spans`: "derived" proves the spans, "marks" takes the template's `{% generation %}` blocks at
    their word; "auto" is derived, and says where marks would help. `injected`: whether an empty
    thinking block that the template puts into a turn is trained with it.
    """

    def __init__(
        self,
        name: str,
        source: str,
        tokenizer: Tokenizer,
        args: Mapping[str, Any] | None = None,
        spans: Spans = "auto",
        injected: Injected = "train",
    ) -> None:
        self.name, self.source, self.tokenizer = name, source, tokenizer
        self.args, self.spans, self.injected = dict(args or {}), spans, injected
        self._plans: dict[Any, Plan] = {}
        if len(source) > _MAX_SOURCE:
            raise TemplateError(f"template {name!r}: is longer than {_MAX_SOURCE} characters")
        if spans == "marks" and not self.has_marks:
            raise TemplateError(
                f"template {name!r}: has no {{% generation %}} blocks to take spans from; use --spans derived"
            )

    def __reduce__(self) -> Any:
        return ChatTemplate, (self.name, self.source, self.tokenizer, self.args, self.spans, self.injected)

    # What is compiled once.

    @cached_property
    def today(self) -> date:
        given = self.args.get("date")
        try:
            return date.fromisoformat(given) if isinstance(given, str) else DATE
        except ValueError:
            raise TemplateError(
                f"template argument date={given!r}: expected a date such as 2024-07-26"
            ) from None

    @cached_property
    def variables(self) -> dict[str, Any]:
        specials = {
            f"{name}_token": text for name, text in self.tokenizer.specials.items() if text is not None
        }
        return {**specials, **self.args}

    @cached_property
    def tracked(self) -> CompiledTemplate:
        return self._compiled(TrackedEnvironment(self.today))

    @cached_property
    def plain(self) -> CompiledTemplate:
        return self._compiled(PlainEnvironment(self.today))

    def _compiled(self, environment: PlainEnvironment) -> CompiledTemplate:
        try:
            return CompiledTemplate(self.source, environment, self.variables)
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"template {self.name!r}, line {problem.lineno}: {problem.message}") from None
        except (jinja2.TemplateError, SyntaxError, RecursionError, MemoryError, ValueError) as problem:
            raise TemplateError(f"template {self.name!r}: cannot be compiled: {problem}") from None

    @cached_property
    def tree(self) -> nodes.Template:
        try:
            return PlainEnvironment(self.today).parse(self.source)
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"template {self.name!r}, line {problem.lineno}: {problem.message}") from None
        except RecursionError:
            raise TemplateError(f"template {self.name!r}: is nested too deeply") from None

    @cached_property
    def has_marks(self) -> bool:
        return any(
            isinstance(block.call.node, nodes.ExtensionAttribute)
            for block in self.tree.find_all(nodes.CallBlock)
        )

    @cached_property
    def _checks_every_text(self) -> bool:
        """Whether what the template does with markup depends on the text it is given."""
        return any(item.name in MARKUP for item in self.tree.find_all(nodes.Filter))

    @cached_property
    def markers(self) -> Markers:
        added = (token.content for token in self.tokenizer.layout.added_tokens)
        return Markers(self.tokenizer.control_tokens, added)

    @cached_property
    def _disguise(self) -> Disguise:
        return Disguise(
            [node.value for node in self.tree.find_all(nodes.Const) if isinstance(node.value, str)]
        )

    @cached_property
    def shape(self) -> Shape:
        """How the template wants its messages: the first way in which it shows their texts."""
        content = next(
            (shape for shape in (Shape(), Shape(content="parts")) if self._shows_texts(shape)), Shape()
        )
        shapes = (
            Shape(content.content, arguments, empty)
            for arguments in ("object", "json")
            for empty in ("text", "none")
        )
        return next((shape for shape in shapes if self._shows_calls(shape)), content)  # type: ignore[arg-type]

    def _shows_texts(self, shape: Shape) -> bool:
        layout = self._tried([Message("user", "Hi"), Message("assistant", "Yes")], shape)
        return layout is not None and {0, 1} <= {hole.turn for hole in layout.holes}

    def _shows_calls(self, shape: Shape) -> bool:
        call = {"type": "function", "id": "1", "function": {"name": "f", "arguments": {"x": "y"}}}
        layout = self._tried([Message("user", "Hi"), Message("assistant", "", tool_calls=[call])], shape)
        return layout is not None and any(hole.field == "tool_calls.0" for hole in layout.holes)

    def _tried(self, messages: list[Message], shape: Shape) -> Layout | None:
        try:
            return read_layout(self._render(self.tracked, messages, None, 0, shape, tracked_text))
        except RecordError:
            return None

    @cached_property
    def usual_prompt(self) -> str:
        """What the generation prompt adds after a plain user message."""
        messages = template_messages([Message("user", "Hi")], 0, self.shape, tracked_text)
        try:
            given, without = (
                self._guarded(self.tracked, messages, None, 2, prompt) for prompt in (True, False)
            )
        except RecordError:
            return ""
        tails = [
            text[layout.before(len(text)) :] for text in (given, without) for layout in (read_layout(text),)
        ]
        return tails[0][len(self.markers.common(tails)) :]

    # What each row costs.

    def render_row(self, conversation: Conversation, policy: MaskPolicy, system: str | None) -> Rendered:
        """Lay a conversation out. Raises RecordError where the template refuses it or a span is not proven."""
        messages = with_system(conversation.messages, system)
        first = len(conversation.messages) - len(messages)
        data = template_messages(messages, first, self.shape, tracked_text)
        tools = template_tools(conversation.tools, tracked_text)
        size = sum(len(message.content) for message in messages)
        layout = read_layout(self._guarded(self.tracked, data, tools, size, False))
        self._check_bos(layout.text)
        key = (
            layout.skeleton(),
            policy,
            first,
            tuple(
                (m.role, m.trained, not m.content.strip(), not m.reasoning_content, len(m.tool_calls or ()))
                for m in messages
            ),
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._prove(layout, messages, first, data, tools, size, policy)
            self._check(layout, messages, first, conversation.tools, disguised=True)
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        elif crc32(layout.text.encode("utf-8", "surrogatepass")) % _CHECKED == 0:
            self._check(layout, messages, first, conversation.tools, disguised=True)
        elif self._checks_every_text:
            self._check(layout, messages, first, conversation.tools, disguised=False)
        return Rendered(plan.fill(layout), plan.notes)

    def _guarded(
        self, template: CompiledTemplate, data: list[dict[str, Any]], tools: Any, size: int, prompt: bool
    ) -> str:
        """One render, its failures as record errors."""
        try:
            return template.render(data, tools, size, prompt)
        except Refusal as problem:
            raise RecordError(
                "template_refused", f"template {self.name!r} refuses this conversation: {problem.message}"
            ) from None
        except LimitError as problem:
            raise RecordError("template_limit", f"template {self.name!r}: {problem.message}") from None
        except Untrackable as problem:
            raise RecordError("unproven_mask", f"template {self.name!r}: {problem}") from None
        except jinja2.TemplateError as problem:
            raise RecordError("template_error", f"template {self.name!r}: {problem.message}") from None
        except RecursionError:
            raise RecordError("template_limit", f"template {self.name!r}: calls itself without end") from None
        except MemoryError:
            raise RecordError("template_limit", f"template {self.name!r}: needs too much memory") from None
        except Exception as problem:  # whatever a template's own code trips over
            raise RecordError(
                "template_error", f"template {self.name!r}: {type(problem).__name__}: {problem}"
            ) from None

    def _render(
        self,
        template: CompiledTemplate,
        messages: list[Message],
        tools: list[dict[str, Any]] | None,
        first: int,
        shape: Shape,
        text_of: TextOf,
    ) -> str:
        size = sum(len(message.content) for message in messages)
        data = template_messages(messages, first, shape, text_of)
        return self._guarded(template, data, template_tools(tools, text_of), size, False)

    def _check_bos(self, text: str) -> None:
        bos = self.tokenizer.specials.get("bos")
        if bos and text.startswith(bos + bos):
            raise TemplateError(f"template {self.name!r}: writes the BOS token {bos!r} twice at the start")

    # What each kind of row costs once.

    def _prove(
        self,
        layout: Layout,
        messages: list[Message],
        first: int,
        data: list[dict[str, Any]],
        tools: Any,
        size: int,
        policy: MaskPolicy,
    ) -> Plan:
        notes = _dropped(layout, messages, first)
        assistants = [index for index, message in enumerate(messages) if message.role == "assistant"]
        if self.spans == "marks":
            try:
                spans = marked_spans(layout, [first + index for index in assistants], self.markers)
            except Unproven as reason:
                raise RecordError("unproven_mask", f"template {self.name!r}: {reason}") from None
            for index in assistants:
                if first + index not in spans:
                    raise self._unproven(first + index, "the template has no generation block for it")
        else:
            prover = self._prover(layout, first, data, tools, size)
            spans = {first + index: self._span(prover, index) for index in assistants}
        if any(span.injected for span in spans.values()):
            notes.append("injected_text")
        return make_plan(layout, messages, first, spans, policy, self.injected == "train", notes)

    def _prover(
        self, layout: Layout, first: int, data: list[dict[str, Any]], tools: Any, size: int
    ) -> Prover:
        known: dict[tuple[int, bool, bool], Layout | None] = {(len(data), False, False): layout}
        user = template_messages([Message("user", "Go on")], 1 << 40, self.shape, tracked_text)

        def render(count: int, prompt: bool, more: bool = False) -> Layout | None:
            key = (count, prompt, more)
            if key not in known:
                try:
                    text = self._guarded(self.tracked, data[:count] + user * more, tools, size, prompt)
                    known[key] = read_layout(text)
                except RecordError:
                    known[key] = None
            return known[key]

        return Prover(
            layout,
            first,
            render,
            lambda count: render(count, False, True) if count == len(data) else None,
            self.markers,
            self.usual_prompt,
        )

    def _span(self, prover: Prover, index: int) -> Span:
        try:
            return prover.span(index)
        except Unproven as reason:
            raise self._unproven(prover.first + index, str(reason)) from None

    def _unproven(self, turn: int, reason: str) -> RecordError:
        marks = (
            "; the template marks its answers itself, which --spans marks would take"
            if self.has_marks
            else ""
        )
        return RecordError(
            "unproven_mask",
            f"message {turn}: template {self.name!r}: its trained part cannot be proven: {reason}{marks}",
            path=("messages", turn),
        )

    def _check(
        self,
        layout: Layout,
        messages: list[Message],
        first: int,
        tools: list[dict[str, Any]] | None,
        disguised: bool,
    ) -> None:
        """Compare with plain renders: the same text, and each message's letters where its spans are."""
        if self._render(self.plain, messages, tools, first, self.shape, plain_text) != layout.text:
            raise RecordError(
                "unproven_mask", f"template {self.name!r}: the tracked text is not the template's"
            )
        if not disguised:
            return
        disguise = self._disguise
        try:
            text = self._render(self.plain, messages, tools, first, self.shape, disguise)
        except RecordError as problem:
            text = problem.message
        at = 0
        for hole in (*layout.holes, None):
            start = hole.start if hole else len(layout.text)
            expected = layout.text[at:start]
            if hole:
                expected += _disguised(
                    messages, first, layout, hole.turn, hole.field, hole.start, hole.stop, disguise
                )
            if not text.startswith(expected, at):
                where = f"message {hole.turn}: " if hole else ""
                raise RecordError(
                    "unproven_mask",
                    f"{where}template {self.name!r}: what it makes of the text depends on the text's letters, "
                    "so that its place cannot be proven in a second way",
                )
            at = hole.stop if hole else at


def _disguised(
    messages: list[Message],
    first: int,
    layout: Layout,
    turn: int,
    field: str,
    start: int,
    stop: int,
    disguise: Disguise,
) -> str:
    return disguise(layout.text[start:stop], turn, field)


def _dropped(layout: Layout, messages: list[Message], first: int) -> list[str]:
    """Notes on texts that the template leaves out. Raises RecordError for a message or call left out whole."""
    shown: dict[int, set[str]] = {}
    for hole in layout.holes:
        shown.setdefault(hole.turn, set()).add(hole.field)
    notes: list[str] = []
    for index, message in enumerate(messages):
        turn = first + index
        fields = shown.get(turn, set())
        for number in range(len(message.tool_calls or ())):
            if f"tool_calls.{number}" not in fields:
                raise RecordError(
                    "template_drops_text",
                    f"message {turn}: the template leaves out tool call {number} of it",
                    path=("messages", turn, "tool_calls", number) if turn >= 0 else (),
                )
        if message.content.strip() and "content" not in fields:
            if not message.tool_calls:
                raise RecordError(
                    "template_drops_text",
                    f"message {turn}: the template leaves out this {message.role} message",
                    path=("messages", turn) if turn >= 0 else (),
                )
            notes.append("content_left_out")
        if (message.reasoning_content or "").strip() and "reasoning_content" not in fields:
            notes.append("reasoning_left_out")
    return notes


def load_chat_template(
    name: str,
    tokenizer: Tokenizer,
    args: Mapping[str, Any] | None = None,
    spans: Spans = "auto",
    injected: Injected = "train",
) -> ChatTemplate:
    """The tokenizer's own chat template (`tokenizer`), or the one in a .jinja file.

    Raises TemplateError or TokenizerError with what to do next.
    """
    if name == "tokenizer":
        source = tokenizer.chat_template
        if source is None:
            raise TokenizerError(
                f"tokenizer {tokenizer.name!r} has no chat template of its own; name one with --template "
                "(`sftcli templates list` shows those built in, a .jinja file works too)"
            )
        return ChatTemplate(name, source, tokenizer, args, spans, injected)
    try:
        source = Path(name).read_text(encoding="utf-8")
    except OSError as problem:
        raise TemplateError(f"template {name!r}: cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise TemplateError(f"template {name!r}: is not UTF-8 text") from None
    return ChatTemplate(name, source, tokenizer, args, spans, injected)

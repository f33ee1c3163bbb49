"""Jinja chat templates: a conversation's pieces, with every span proven.

The text is what transformers' apply_chat_template makes. Whose each character is comes out of the
render itself (`sftcli.jinja.tracked`); where turns start and end is proven on it
(`sftcli.jinja.spans`); and both are checked against renders by Jinja's own code
(`sftcli.jinja.proof`).
"""

from collections.abc import Hashable, Mapping
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

from sftcli.conversation import Conversation
from sftcli.errors import TemplateError, TokenizerError
from sftcli.jinja.layout import Markers
from sftcli.mask import MaskPolicy
from sftcli.rendered import Rendered
from sftcli.templates import read_template
from sftcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    from sftcli.jinja.data import Shape
    from sftcli.jinja.pieces import Plan
    from sftcli.jinja.proof import Row

Spans = Literal["auto", "derived", "marks"]
Injected = Literal["train", "mask"]

DATE = date(2024, 7, 26)  # the date that Llama 3.1's template names where it is given none
_MAX_PLANS = 4_096
_CHECKED = 16  # one row in so many is checked again, chosen by its own text


class ChatTemplate:
    """A chat template with the tokenizer it is for.

    `args` are the template's own variables (`enable_thinking`, `date_string`, ...); `date`, as
    2024-07-26, is what `strftime_now` gives. `spans`: "derived" proves the spans, "marks" takes the
    template's `{% generation %}` blocks at their word, "auto" is derived. `injected`: whether an
    empty thinking block that the template puts into a turn is trained with it.
    """

    def __init__(
        self,
        name: str,
        source: str,
        tokenizer: Tokenizer,
        args: Mapping[str, Any] | None = None,
        *,
        spans: Spans = "auto",
        injected: Injected = "train",
    ) -> None:
        # Jinja takes its time to load, and a run with a role template does without it.
        from sftcli.jinja import pieces, proof
        from sftcli.jinja.program import Program

        self._make_plan, self._proof = pieces.make_plan, proof
        self.name, self.source, self.tokenizer = name, source, tokenizer
        self.args, self.spans, self.injected = dict(args or {}), spans, injected
        self.program = Program(name, source, self.variables, _date(self.args), _markers(tokenizer))
        self._plans: dict[Hashable, Plan] = {}
        if spans == "marks" and not self.has_marks:
            raise TemplateError(
                f"template {name!r}: has no {{% generation %}} blocks to take spans from; use --spans derived"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # Compiled templates do not travel to worker processes; what they are compiled from does.
        return _rebuilt, (self.name, self.source, self.tokenizer, self.args, self.spans, self.injected)

    @property
    def variables(self) -> dict[str, Any]:
        """What the template is given beside the conversation."""
        specials = {
            f"{name}_token": text for name, text in self.tokenizer.specials.items() if text is not None
        }
        return {**specials, **self.args}

    @property
    def has_marks(self) -> bool:
        """Whether it has `{% generation %}` blocks."""
        return self.program.has_marks

    @property
    def shape(self) -> "Shape":
        """How the template wants its messages, found by trying."""
        return self.program.shape

    @cached_property
    def _usual(self) -> tuple[str, str]:
        return self._proof.usual_turn(self.program)

    @property
    def usual_prompt(self) -> str:
        """What the generation prompt adds after a plain user message."""
        return self._usual[0]

    @property
    def usual_end(self) -> str:
        """The terminator of a plain answer; "" where there is none that can be proven."""
        return self._usual[1]

    @cached_property
    def _prompt_ends(self) -> dict[str, int]:
        """What a generation prompt may end in that data may begin with, such as `<think>`; numbered."""
        parts = self.program.markers.cut(self.usual_prompt)
        ends = ("".join(parts[at:]) for at in range(1, len(parts)) if len(parts[at]) > 1)
        return {end: number for number, end in enumerate(ends, 1)}

    def render_row(self, conversation: Conversation, policy: MaskPolicy, system: str | None) -> Rendered:
        """Lay a conversation out. Raises RecordError where it is refused or a span is not proven, and
        TemplateError where the template passes its limits for any conversation.

        `system` stands in where the record has no system message of its own.
        """
        self.program.check_limits()
        row = self._proof.lay_out(self.program, conversation, system)
        key = self._kind(row, policy)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._prove(row, policy)
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        elif self.program.changes_case or crc32(row.layout.text.encode("utf-8", "replace")) % _CHECKED == 0:
            self._proof.check_text(self.program, row)
            self._proof.check_places(self.program, row)
        elif self.program.has_markup:
            self._proof.check_text(self.program, row)
        return plan.fill(row.layout)

    def _kind(self, row: "Row", policy: MaskPolicy) -> Hashable:
        """What rows have in common whose pieces are laid out alike, so that one proof serves them all."""
        messages = tuple(
            [
                (
                    message.role,
                    message.trained,
                    not message.content or message.content.isspace(),
                    not message.reasoning_content or message.reasoning_content.isspace(),
                    len(message.tool_calls or ()),
                )
                for message in row.messages
            ]
        )
        return row.layout.skeleton(), messages, self._starts_given(row), row.first, policy

    def _starts_given(self, row: "Row") -> tuple[int, ...]:
        return self._proof.starts_given(row, self._prompt_ends) if self._prompt_ends else ()

    def _prove(self, row: "Row", policy: MaskPolicy) -> "Plan":
        bos = self.tokenizer.specials.get("bos")
        if bos and row.layout.text.startswith(bos + bos):
            raise TemplateError(f"template {self.name!r}: writes the BOS token {bos!r} twice at the start")
        notes = self._proof.left_out(row)
        if self.spans == "marks":
            spans = self._proof.take_marks(self.program, row)
        else:
            spans = self._proof.prove_spans(self.program, row, self._usual, self._starts_given(row))
        self._proof.check_text(self.program, row)
        self._proof.check_places(self.program, row)
        if any(span.injected for span in spans.values()):
            notes.append("injected_text")
        return self._make_plan(row, spans, policy, self.injected == "train", notes)


def load_chat_template(
    name: str,
    tokenizer: Tokenizer,
    args: Mapping[str, Any] | None = None,
    raw: bytes | None = None,
    *,
    spans: Spans = "auto",
    injected: Injected = "train",
) -> ChatTemplate:
    """The tokenizer's own chat template (`tokenizer`), or the one in a .jinja file.

    `raw` is what is in that file, where somebody has read it.

    Raises TemplateError or TokenizerError with what to do next.
    """
    if name == "tokenizer":
        source = tokenizer.chat_template
        if source is None:
            raise TokenizerError(
                f"tokenizer {tokenizer.name!r} has no chat template of its own; name one with --template "
                "(`sftcli templates list` shows those built in, a .jinja file works too)"
            )
    else:
        try:
            text = (read_template(name) if raw is None else raw).decode()
        except UnicodeDecodeError:
            raise TemplateError(f"template {name!r}: is not UTF-8 text") from None
        source = text.replace("\r\n", "\n").replace("\r", "\n")
    return ChatTemplate(name, source, tokenizer, args, spans=spans, injected=injected)


def _rebuilt(
    name: str, source: str, tokenizer: Tokenizer, args: dict[str, Any], spans: Spans, injected: Injected
) -> ChatTemplate:
    return ChatTemplate(name, source, tokenizer, args, spans=spans, injected=injected)


def _date(args: Mapping[str, Any]) -> date:
    given = args.get("date")
    try:
        return date.fromisoformat(given) if isinstance(given, str) else DATE
    except ValueError:
        raise TemplateError(f"template argument date={given!r}: expected a date such as 2024-07-26") from None


def _markers(tokenizer: Tokenizer) -> Markers:
    return Markers(tokenizer.control_tokens, (token.content for token in tokenizer.layout.added_tokens))

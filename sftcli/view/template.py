"""Templates as text: the table of `templates list`, and the layout that `templates show` draws."""

import re
import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sftcli.conversation import Conversation, Message, Role
from sftcli.mask import MaskPolicy
from sftcli.render import render_chat, render_prompt
from sftcli.rendered import Rendered
from sftcli.templates import RoleTemplate, Template, builtin_names, load_template
from sftcli.view.cells import one_line, width_of
from sftcli.view.page import Screen, Span, page

_SAMPLE: tuple[tuple[Role, str], ...] = (
    ("system", "You are a helpful assistant."),
    ("user", "What is 2 + 2?"),
    ("assistant", "2 + 2 = 4."),
    ("user", "And 3 + 3?"),
    ("assistant", "3 + 3 = 6."),
)
_PLACEHOLDER = re.compile(r"\{(?:bos|eos|pad|sep|unk)\}")


class TemplateRow(NamedTuple):
    name: str
    kind: str
    description: str


def list_templates() -> list[TemplateRow]:
    """The built-in templates, sorted by name."""
    templates = map(load_template, builtin_names())
    return [TemplateRow(template.name, _kind(template), template.description) for template in templates]


def template_table(rows: Iterable[TemplateRow], width: int, ascii_only: bool = False) -> str:
    """The rows as an aligned table; a long description goes on below itself."""
    table = [TemplateRow("name", "kind", "description")]
    table += [TemplateRow(*(one_line(text, ascii_only) for text in row)) for row in rows]
    names, kinds = (max(width_of(row[column]) for row in table) for column in (0, 1))
    return "\n".join(
        hanging(f"{row.name:<{names}}  {row.kind:<{kinds}}  ", row.description, width) for row in table
    )


def show_template(
    template: Template,
    color: bool,
    width: int,
    ascii_only: bool = False,
    control_tokens: Collection[str] = (),
) -> str:
    """A template's facts and its layout with a sample, without a line break at the end.

    What the tokenizer supplies stands as `{eos}` unless the template is resolved;
    `control_tokens` are the tokenizer's, where one is given.
    """
    screen = Screen(color, width, ascii_only)
    lines = [f"{one_line(template.name, ascii_only)}{screen.marks.dot}{_kind(template)} template"]
    if template.description:
        lines += textwrap.wrap(one_line(template.description, ascii_only), width)
    lines.append("")
    samples = list(_samples(template))
    for name, text in (*_facts(template), *_from_tokenizer(samples)):
        lines.append(hanging(f"{name:<17}", one_line(text, ascii_only), width))
    control = control_pattern([*template.control_tokens, *control_tokens])
    for heading, sample in samples:
        lines.append("")
        if heading:
            lines.append(one_line(heading, ascii_only))
        lines += page(piece_spans(sample, control), screen)
    legend = screen.paint("trained by default", "text", True)
    return "\n".join([*lines, "", legend if color else f"T = {legend}"])


def _kind(template: Template) -> str:
    return "role" if isinstance(template, RoleTemplate) else "prompt"


def _facts(template: Template) -> Iterator[tuple[str, str]]:
    if isinstance(template, RoleTemplate):
        yield "roles", ", ".join(template.roles)
        if template.system_in_user is not None:
            yield "system text", "at the head of the first user turn"
        if template.default_system:
            yield "default system", template.default_system
        yield "terminator", template.roles["assistant"].end
    else:
        yield "fields", ", ".join(template.required)
        if template.optional:
            yield "optional fields", ", ".join(template.optional)
        yield "terminator", template.end
    yield "control tokens", ", ".join(template.control_tokens) or "none of its own"


def _from_tokenizer(samples: Iterable[tuple[str, Rendered]]) -> Iterator[tuple[str, str]]:
    """The specials that stand in the layout for the tokenizer's own."""
    texts = (piece.text for _, sample in samples for piece in sample.pieces if not piece.content)
    names = sorted({name for text in texts for name in _PLACEHOLDER.findall(text)})
    if names:
        yield "tokenizer gives", ", ".join(names)


def _samples(template: Template) -> Iterator[tuple[str, Rendered]]:
    """(heading, layout): a short conversation, or each wording of a prompt template."""
    if isinstance(template, RoleTemplate):
        yield "", render_chat(_conversation(template), template, MaskPolicy(), None)
        return
    for when, _ in template.variants:
        fields = {name: f"{{{name}}}" for name in (*template.required, *when)}
        heading = f"with {' and '.join(when)}:" if when else "otherwise:"
        yield (
            heading if len(template.variants) > 1 else "",
            render_prompt(Conversation(fields=fields), template, MaskPolicy(), None),
        )


def _conversation(template: RoleTemplate) -> Conversation:
    """The sample, without the roles that the template has no layout for."""
    roles = {*template.roles, *(["system"] if template.system_in_user is not None else [])}
    return Conversation(messages=[Message(role, text) for role, text in _SAMPLE if role in roles])


def control_pattern(tokens: Collection[str]) -> re.Pattern[str]:
    longest_first = sorted(filter(None, set(tokens)), key=lambda token: (-len(token), token))
    return re.compile("|".join([*map(re.escape, longest_first), _PLACEHOLDER.pattern]))


def piece_spans(rendered: Rendered, control: re.Pattern[str]) -> Iterator[Span]:
    for piece in rendered.pieces:
        turn, role = (piece.turn if piece.turn >= 0 else None), piece.role or None
        at = 0
        for match in () if piece.content else control.finditer(piece.text):
            yield Span(piece.text[at : match.start()], piece.trained, False, turn, role)
            yield Span(match[0], piece.trained, True, turn, role)
            at = match.end()
        yield Span(piece.text[at:], piece.trained, False, turn, role)


def hanging(head: str, text: str, width: int) -> str:
    """`head`, then `text` wrapped beside it."""
    indent = " " * len(head)
    lines = textwrap.wrap(
        text,
        max(width, len(head) + 20),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return (head + "\n".join(lines).removeprefix(indent)).rstrip()

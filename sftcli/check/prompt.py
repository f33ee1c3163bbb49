"""Checks of a prompt template: its fields, and the place where the prompt meets the completion."""

from collections.abc import Iterator
from itertools import product

from sftcli.check.finding import Verdict, ok, quoted, warning
from sftcli.check.subject import Subject
from sftcli.conversation import Conversation
from sftcli.encode import Encoder
from sftcli.engine import ReferenceEngine
from sftcli.errors import RecordError
from sftcli.rendered import Piece, Rendered
from sftcli.templates import PromptTemplate

_VALUES = ("Paris", "4", "- one\n- two", "def f():")  # beginnings that completions have


def required_fields(subject: Subject) -> Verdict:
    """The fields without which a record is refused, each left out in turn."""
    template = subject.template
    if not isinstance(template, PromptTemplate):
        return ok("none")
    full = dict.fromkeys((*template.required, *template.optional), "x")
    needed = []
    for name in full:
        rest = {other: value for other, value in full.items() if other != name}
        if isinstance(subject.tried(Conversation(fields=rest)), RecordError):
            needed.append(name)
    return ok(", ".join(needed), "a record without one of them is refused")


def optional_fields(subject: Subject) -> Verdict:
    template = subject.template
    if not isinstance(template, PromptTemplate) or not template.optional:
        return ok("none")
    return ok(", ".join(template.optional), f"{len(template.variants)} wordings of the prompt")


def prompt_end(subject: Subject) -> Verdict:
    """Whether tokens lie across the end of the prompt, which inference would cut otherwise."""
    good = [row for row in map(subject.tried, _rows(subject)) if isinstance(row, Rendered)]
    if any(piece.content for row in good for piece in _last_masked(row)):
        return ok("a field", "the data says how prompts end: let them end without white space")
    batch = Encoder(subject.tokenizer, ReferenceEngine(subject.tokenizer)).encode(good, [1] * len(good))
    crossed = sum(map(any, batch.straddles.tolist()))
    ends = [piece.text[-16:] for row in good for piece in _last_masked(row)]
    value = " or ".join(map(quoted, dict.fromkeys(ends)))
    seen = f"in {crossed} of {len(good)} rows a token lies across it"
    if crossed:
        return warning(value, f"{seen}: at inference the prompt is tokenized otherwise; end it without")
    if any(end.endswith((" ", "\t")) for end in ends):
        return warning(value, f"{seen}, yet many tokens begin with a space; let it end without")
    return ok(value, seen)


def _rows(subject: Subject) -> Iterator[Conversation]:
    """Each wording with each of the completions."""
    template = subject.template
    if isinstance(template, PromptTemplate):
        for (when, _), value in product(template.variants, _VALUES):
            fields = dict.fromkeys((*template.required, *when), "Which one?")
            completion = {name: value for name, is_field in template.completion if is_field}
            yield Conversation(fields={**fields, **completion})


def _last_masked(row: Rendered) -> list[Piece]:
    return [piece for piece in row.pieces if not piece.trained][-1:]

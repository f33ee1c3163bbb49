"""What a check says, and how it quotes what it saw."""

from typing import Literal, NamedTuple

from sftcli.check.subject import Subject
from sftcli.errors import RecordError
from sftcli.rendered import Rendered

Level = Literal["ok", "warning", "error"]
_MOST = 72  # characters of evidence


class Verdict(NamedTuple):
    """`value` is the fact in a word or two, `message` the evidence and what to do about it."""

    level: Level
    value: str
    message: str = ""


class Finding(NamedTuple):
    name: str
    level: Level
    value: str
    message: str


def ok(value: str, message: str = "") -> Verdict:
    return Verdict("ok", value, message)


def warning(value: str, message: str) -> Verdict:
    return Verdict("warning", value, message)


def error(value: str, message: str) -> Verdict:
    return Verdict("error", value, message)


def quoted(text: str) -> str:
    """A text as evidence: in quotes, its line breaks written out, the middle of a long one left out."""
    shown = text if len(text) <= _MOST else f"{text[: _MOST // 2]} ... {text[-_MOST // 2 :]}"
    return repr(shown)


def names(tokens: list[str]) -> str:
    """Tokens as evidence, the first of many."""
    more = f" and {len(tokens) - 12} more" if len(tokens) > 12 else ""
    return ", ".join(tokens[:12]) + more


def reason(subject: Subject, problem: RecordError) -> str:
    """Why a probe is refused, without the template's name, which stands above."""
    own = subject.template.name
    return problem.message.replace(f"template {own!r}: ", "").replace("refuses this conversation: ", "")


def refused(subject: Subject, problem: RecordError) -> Verdict:
    """What it means for the data where a template does not take a kind of conversation.

    Each such record is an error of prepare's with this reason, so nothing is trained wrongly; only
    what the template does lay out and cannot be proven deserves a second look.
    """
    why = reason(subject, problem)
    if problem.code == "unproven_mask":
        return warning("not proven", f"{why}; such records are refused")
    if problem.code in ("template_refused", "unsupported_role"):
        return ok("refused", why)
    return ok("not supported", why.partition("; ")[0])


def trained(row: Rendered, turn: int) -> str:
    """The trained text of one turn."""
    return "".join(piece.text for piece in row.pieces if piece.turn == turn and piece.trained)


def terminator(row: Rendered) -> str:
    """The template text that ends the last trained turn; "" where its data does."""
    last = [piece for piece in row.pieces if piece.trained][-1:]
    return last[0].text if last and not last[0].content else ""


def common(one: str, other: str) -> str:
    """The longest text that both begin with and that ends inside no `<...>`."""
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    at = min(len(one), len(other)) if at is None else at
    tag = one.rfind("<", max(at - 40, 0), at)
    return one[: tag if tag > one.rfind(">", 0, at) else at]

"""Checks of the answers: where what is trained begins and ends, and whether it is always the same."""

from sftcli.check.finding import (
    Verdict,
    common,
    error,
    ok,
    quoted,
    terminator,
    trained,
    warning,
)
from sftcli.check.layout import first_row, plain_text
from sftcli.check.probes import ANSWER, PROBES, SPACED
from sftcli.check.subject import Subject
from sftcli.encode import Encoder
from sftcli.engine import ReferenceEngine
from sftcli.errors import RecordError
from sftcli.rendered import Rendered


def answer_start(subject: Subject) -> Verdict | None:
    row = subject.outcome("plain")
    if isinstance(row, RecordError):
        return None
    lead = trained(row, 1).partition(ANSWER)[0]
    if not lead:
        return ok("the answer itself")
    if "injected_text" in row.notes:
        return warning(
            quoted(lead),
            "an empty thinking block that nobody wrote, trained as the model must write it there; "
            "--injected mask masks it",
        )
    return ok(quoted(lead), "written by the model before its answer, and trained")


def ends(subject: Subject) -> Verdict | None:
    """The terminator. Where nothing at all follows an answer, that is the reason for what else fails."""
    row = first_row(subject)
    if isinstance(row, RecordError):
        if plain_text(subject).after.strip():
            return None
        return error("none", "nothing follows an answer, so that a model would not learn to stop")
    end = terminator(row)
    if not end:
        return error("none", f"the row ends {quoted(row.text[-40:])}")
    if end in subject.tokenizer.control_tokens:
        return ok(end, "one control token, trained")
    last = next((token for token in subject.tokenizer.control_tokens if end.endswith(token)), "")
    if last:
        return ok(quoted(end), f"trained, and ends in the control token {last}")
    return warning(
        quoted(end), "no control token: inference must stop at this text, and data may hold the same"
    )


def terminator_is_eos(subject: Subject) -> Verdict | None:
    row = first_row(subject)
    end = terminator(row) if isinstance(row, Rendered) else ""
    if not end:
        return None
    eos = subject.tokenizer.specials["eos"]
    if eos and end.endswith(eos):
        return ok("yes", f"generation stops at {eos} by default")
    if subject.stand_in is not None:
        return ok("not judged", "it is known with -t TOKENIZER")
    return warning(
        "no",
        f"the tokenizer's eos is {eos}: set eos_token to {end}, or give it to inference as a stop token",
    )


def after_terminator(subject: Subject) -> Verdict | None:
    row = first_row(subject)
    if isinstance(row, RecordError):
        return None
    last = max(i for i, piece in enumerate(row.pieces) if piece.trained)
    rest = "".join(piece.text for piece in row.pieces[last + 1 :])
    return ok(quoted(rest), "at the end of a row; masked") if rest else ok("nothing")


def trims(subject: Subject) -> Verdict:
    row = subject.row("spaces")
    user, says = (
        "".join(piece.text for piece in row.pieces if piece.content and piece.turn == turn) for turn in (0, 1)
    )
    cut = [who for who, text in (("questions", user), ("answers", says)) if text != SPACED]
    seen = f"of an answer {quoted(SPACED)} stays {quoted(says)}"
    return ok(" and ".join(cut) if cut else "no", seen)


def prefix_stable(subject: Subject) -> Verdict:
    row, alone = subject.row("turns"), subject.row("plain")
    for count in (1, 3):
        given = subject.given("turns", count, True)
        if not row.text.startswith(given):
            return warning("no", f"{_differs(row.text, given)}: at inference an answer starts otherwise")
    before, after = trained(alone, 1), trained(row, 1)
    if before != after:
        return warning(
            "no",
            f"an answer is trained as {quoted(before)} where it is the last, as {quoted(after)} before "
            "others; --train-on last trains only what was written so",
        )
    whole = subject.given("turns", 2, False)
    if not row.text.startswith(whole):
        return ok("no", f"{_differs(row.text, whole)}; only masked text differs")
    return ok("yes", "a conversation begins with the text of its first messages")


def _differs(whole: str, part: str) -> str:
    at = len(common(whole, part))
    return (
        f"after {quoted(part[max(at - 16, 0) : at])} the prompt has {quoted(part[at : at + 20])}, "
        f"the whole {quoted(whole[at : at + 20])}"
    )


def marks(subject: Subject) -> Verdict:
    if subject.chat is None or not subject.chat.has_marks:
        return ok("none", "spans are proven by rendering")
    from sftcli.chat_template import ChatTemplate

    chat = subject.chat
    template = ChatTemplate(chat.name, chat.source, chat.tokenizer, chat.args, spans="marks")
    marked = Subject(subject.name, template, chat.tokenizer)
    for probe in ("plain", "turns", "call", "result", "reasoning"):
        one, other = subject.outcome(probe), marked.outcome(probe)
        if isinstance(one, RecordError) or isinstance(other, RecordError):
            continue
        for turn, message in enumerate(PROBES[probe].messages):
            if message.role == "assistant" and trained(one, turn) != trained(other, turn):
                return warning(
                    "differ",
                    f"marked is {quoted(trained(other, turn))}, what the model must write is "
                    f"{quoted(trained(one, turn))}; the latter is trained, the former with --spans marks",
                )
    return ok("agree", "with what is proven by rendering")


def boundary(subject: Subject) -> Verdict | None:
    """Whether a token lies across the place where the trained part begins or ends."""
    rows = [row for row in map(subject.outcome, ("plain", "turns")) if isinstance(row, Rendered)]
    if not rows:
        return None
    batch = Encoder(subject.tokenizer, ReferenceEngine(subject.tokenizer)).encode(rows, [1] * len(rows))
    lost, kept = (int(count) for count in batch.straddles.sum(axis=0))
    if lost or kept:
        return warning(
            "crossed",
            f"in {len(rows)} rows, tokens that lie across the trained part's start or end: {lost} masked, "
            f"{kept} trained; at inference the text is cut there, and tokenized otherwise",
        )
    return ok("clean", "no token lies across the trained part's start or end")

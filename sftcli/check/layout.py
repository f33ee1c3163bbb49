"""Checks of the layout: where rows begin, what stands around turns."""

from dataclasses import dataclass

from sftcli.check.finding import Verdict, common, error, names, ok, quoted, reason, warning
from sftcli.check.subject import Subject
from sftcli.errors import RecordError
from sftcli.rendered import Rendered

_OTHER_DATE = "2031-12-25"


@dataclass(frozen=True)
class Plain:
    """The plain probe's text, also where its mask is not proven."""

    text: str
    before: str  # template text before the question
    after: str  # template text after the answer


def plain_text(subject: Subject) -> Plain:
    """Raises RecordError where nothing renders."""
    written = subject.written(next(subject.conversations()))
    texts = [text for text, is_data in written if not is_data]
    before = texts[0] if written and not written[0][1] else ""
    after = texts[-1] if written and not written[-1][1] else ""
    return Plain("".join(text for text, _ in written), before, after)


def standing_in(subject: Subject) -> Verdict:
    size = f"{subject.tokenizer.size:,} ids"
    if subject.stand_in is None:
        return ok(subject.tokenizer.name, size)
    extended = f", extended by what the template writes: {names(list(subject.stand_in))}"
    return ok(
        "stand-in",
        f"the demo tokenizer{extended if subject.stand_in else ''}. Name yours with -t TOKENIZER: what a "
        "tokenizer must have is not judged without",
    )


def renders(subject: Subject) -> Verdict:
    try:
        plain_text(subject)
    except RecordError as problem:
        return error("no", f"not even one question and one answer: {reason(subject, problem)}")
    return ok("yes", "one question and one answer")


def mask(subject: Subject) -> Verdict:
    row = first_row(subject)
    if isinstance(row, RecordError):
        return error("not proven", reason(subject, row))
    answer = "".join(piece.text for piece in row.pieces if piece.trained)
    return ok("proven", f"of a plain row is trained: {quoted(answer)}")


def first_row(subject: Subject) -> Rendered | RecordError:
    return subject.tried(next(subject.conversations()))


def bos(subject: Subject) -> Verdict:
    text = plain_text(subject).text
    token = subject.tokenizer.specials["bos"] or ""
    count, rest = 0, text.lstrip()
    while token and rest.startswith(token):
        count, rest = count + 1, rest[len(token) :].lstrip()
    start = f"the text begins with {quoted(text[: 2 * len(token) + 24])}"
    if count > 1:
        return error("twice", f"{start}; let the template write it once")
    if count == 1:
        return ok("once", start)
    return _without_bos(subject, text, start)


def _without_bos(subject: Subject, text: str, start: str) -> Verdict:
    wanted = subject.tokenizer.bos
    if wanted and subject.stand_in is None:
        return warning(
            "none", f"{start}; the tokenizer puts {wanted} before every text, and so does the model expect it"
        )
    opening = next((token for token in subject.controls if text.startswith(token)), "")
    if opening and _stands_once(subject, opening):
        return ok("once", f"{start}, which stands nowhere else")
    unknown = subject.stand_in is not None
    return ok("none", "whether the tokenizer wants one is known with -t" if unknown else "nor is one wanted")


def _stands_once(subject: Subject, token: str) -> bool:
    row = subject.outcome("turns")
    return isinstance(row, Rendered) and row.text.count(token) == 1


def control_tokens(subject: Subject) -> Verdict:
    there = names(subject.controls) or "none"
    if not subject.missing:
        return ok(there, "the tokenizer has all that the template writes" if subject.controls else "")
    added = {token.content for token in subject.tokenizer.layout.added_tokens}
    certain = [token for token in subject.missing if token not in added and not token.startswith("[")]
    said = f"not among the tokenizer's control tokens: {names(certain or subject.missing)}"
    if not certain:
        return warning(there, f"{said}; so data can write the same")
    if subject.own:
        return warning(there, f"{said}; plain text, right only where the model learnt it as such")
    return error(
        there,
        f"{said}; they would become ordinary pieces. Take the template's own tokenizer, or prepare with "
        "--add-special-token",
    )


def system(subject: Subject) -> Verdict:
    row = subject.row("system")
    turns = [piece.turn for piece in row.pieces if piece.content]
    pieces = [(piece.text, piece.turn, piece.content) for piece in row.pieces]
    if 0 not in turns or 1 not in turns:
        return warning("left out", "the system text is not in the row")
    first = next(i for i, (_, turn, data) in enumerate(pieces) if data and turn == 0)
    second = next(i for i, (_, turn, data) in enumerate(pieces) if data and turn == 1)
    between = "".join(text for text, _, _ in pieces[first + 1 : second])
    header = user_header(subject)
    if header and header in between:
        return ok("accepted", f"between it and the question stands {quoted(between)}")
    return ok("merged", f"into the user turn, {quoted(between)} between it and the question")


def user_header(subject: Subject) -> str:
    """What stands before a question after an answer, without the answer's end and white space."""
    row = subject.outcome("turns")
    if isinstance(row, RecordError):
        return ""
    answer = max((i for i, piece in enumerate(row.pieces) if piece.turn == 1 and piece.trained), default=0)
    question = next((i for i, piece in enumerate(row.pieces) if piece.turn == 2 and piece.content), 0)
    return "".join(piece.text for piece in row.pieces[answer + 1 : question]).strip()


def default_system(subject: Subject) -> Verdict:
    before = plain_text(subject).before
    start = subject.tokenizer.specials["bos"] or "\0"
    rest = before.strip().removeprefix(start).removesuffix(user_header(subject)).strip()
    if rest in subject.controls or not any(char.isalnum() for char in rest):
        return ok("none", "without a system text none is written")
    return ok("written", f"without a system text the row begins with {quoted(rest)}; masked")


def generation_prompt(subject: Subject) -> Verdict:
    without, prompt = subject.given("plain", 1, False), subject.given("plain", 1, True)
    usual = subject.chat.usual_prompt if subject.chat else prompt[len(common(without, prompt)) :]
    if not usual:
        return ok(
            "none", f"the answer follows the question directly; the prompt ends in {quoted(prompt[-24:])}"
        )
    return ok(quoted(usual), "masked in every turn")


def date(subject: Subject) -> Verdict:
    if subject.chat is None:
        return ok("no")
    from sftcli.chat_template import ChatTemplate

    chat = subject.chat
    args = {**chat.args, "date": _OTHER_DATE}
    other = Subject(subject.name, ChatTemplate(chat.name, chat.source, chat.tokenizer, args), chat.tokenizer)
    then, now = plain_text(other).text, plain_text(subject).text
    if then == now:
        return ok("no", "on another day the text is the same")
    at = len(common(now, then))
    return ok(
        "yes",
        f"it writes {quoted(now[max(at - 20, 0) : at + 16])}: always this day, unless --template-arg "
        "date=YYYY-MM-DD names another",
    )

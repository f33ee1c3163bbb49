"""Block of lines -> what is wrong with its records: the rules of the families J, R and C."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError
from sftcli.parse import Parser, decode_lines, keys_read, make_parser, make_reject
from sftcli.parse.failure import Names
from sftcli.parse.reads import ANY_FORMAT
from sftcli.read import LineBlock
from sftcli.rules.catalogue import BY_NAME, RULES
from sftcli.validate.beside import all_strings, beside_of
from sftcli.validate.content import CHARACTERS, SECRET, ContentRules, Flaw, maybe_garbled
from sftcli.validate.place import Places
from sftcli.validate.suspects import Suspects
from sftcli.validate.tally import Doubt, Limits, Tally
from sftcli.validate.texts import Text, texts_of

_GARBLED = "C007"
_MOST_DOUBTS = 16  # of a split; who finds more has reason to load what settles them

TemplateFields = tuple[Sequence[str], Sequence[str]]


class Good(NamedTuple):
    """A record that has its shape: the index of its line in the block, and what it says."""

    at: int
    record: dict[str, Any]
    conversation: Conversation


class Judge:
    """Judges the records of one format; None where the format is not known.

    `control_texts` are the tokenizer's, beside those that are always looked for. `weighted`: messages
    may have any weight. `doubts`: the first texts of a split that may be mojibake are left in doubt.
    """

    def __init__(
        self,
        record_format: str | None,
        names: Names,
        limits: Limits,
        template_fields: TemplateFields = ((), ()),
        control_texts: Sequence[str] = (),
        *,
        weighted: bool = False,
        doubts: bool = False,
    ) -> None:
        self.record_format, self._names = record_format, names
        self._parse: Parser | None = None
        self._reads = ANY_FORMAT
        if record_format is not None:
            self._parse = make_parser(record_format, names, template_fields, weighted=weighted)
            self._reads = keys_read(record_format, names, [*template_fields[0], *template_fields[1]])
        on = {RULES[code].name for code in limits.on}
        self._content = ContentRules(on, control_texts)
        doubts = doubts and _GARBLED in limits.on - limits.serious
        self._clear = ContentRules(on - {RULES[_GARBLED].name}, control_texts) if doubts else self._content
        self._suspects = Suspects(self._content)
        # Elsewhere the template's own text stands between a prompt and its answer.
        self._touching = record_format in ("prompt_completion", "segments")

    def judge(self, block: LineBlock, tally: Tally, *, want_good: bool = True) -> list[Good]:
        """Add a block's findings to the tally; the records that have their shape are returned.

        Without `want_good` none is.
        """
        good: list[Good] = []
        first, parse, always = tally.lines, self._parse or _no_parser, self._content.needs_all
        suspects = self._suspects.of(block)
        tally.lines += len(block.lines)
        tally.records += len(block.lines)
        for index, record in enumerate(decode_lines(block.lines, self._reads, block.whole)):
            if record is None:
                tally.records -= 1
                tally.add_once("J023", first + index)
                continue
            try:
                if isinstance(record, RecordError):
                    raise record
                conversation = parse(record)
            except RecordError as problem:
                refuse(problem, block, index, first + index, tally)
                continue
            if want_good:
                good.append(Good(index, record, conversation))
            if index in suspects or always or self._looks_odd(conversation.messages):
                groups = suspects.get(index, 0)
                self._tell(record, conversation, groups, block.lines[index], first + index, tally)
        if block.widths is not None and block.break_bytes is not None:
            _note_carriage_returns(block, first, tally)
        return good if self._parse else []

    def _looks_odd(self, messages: Sequence[Message]) -> bool:
        """Whether a record may break one of the rules on how its messages go together."""
        if not messages:
            return self._touching  # only segments
        if messages[-1].role == "user":
            return True
        if len(messages) == 2:  # most are, and to go over them takes longer
            if messages[0].content == messages[1].content:
                return True
        elif any(before.content == after.content for before, after in pairwise(messages)):
            return True
        return self._touching and len(messages) > 1 and messages[-2].content[-1:].isspace()

    def _tell(
        self,
        record: dict[str, Any],
        conversation: Conversation,
        groups: int,
        raw: bytes,
        line: int,
        tally: Tally,
    ) -> None:
        """Add what is wrong with the texts of one record."""
        texts = texts_of(record, self.record_format, self._names)
        flaws = list(self._order_flaws(texts, conversation.messages))
        looked_at = [(text, groups & ~SECRET) for text in texts]
        if groups & ~SECRET:
            beside = beside_of(record, self.record_format, self._names)
            looked_at += [(text, groups & ~SECRET) for text in beside]
        if groups & SECRET:
            # Whoever has the data has them, also where nothing is trained on them.
            looked_at += [(text, SECRET) for text in all_strings(record)]
        places = Places(raw.decode())
        rules = self._content if len(tally.doubts) >= _MOST_DOUBTS else self._clear
        flaws += [(text, flaw) for text, some in looked_at for flaw in rules.flaws(text, some)]
        if rules is not self._content and groups & CHARACTERS:
            tally.doubts += _doubts([text for text, some in looked_at if some & CHARACTERS], places, line)
        for text, flaw in flaws:
            code = BY_NAME[flaw.name].code
            column = places.of(text, flaw.at) if tally.keeps(code) else None
            tally.add(code, flaw.message, line, column)

    def _order_flaws(self, texts: Sequence[Text], messages: Sequence[Message]) -> Iterator[tuple[Text, Flaw]]:
        """What is wrong with how a record's texts follow each other."""
        # Of equal answers the first one.
        answers = {text.text: text for text in reversed(texts) if text.part == "answer"}
        for before, message in pairwise(messages):
            if message.role == "assistant" and before.role == "user" and before.content == message.content:
                answer = answers.get(message.content)
                if answer is not None:
                    yield answer, Flaw("answer_is_prompt", None, "the answer is the same text as the prompt")
        if messages and messages[-1].role == "user" and texts and texts[-1].part == "prompt":
            told = "nobody answers this turn, so it teaches nothing"
            yield texts[-1], Flaw("trailing_user_turn", None, told)
        for text in texts:
            at = text.loose_end
            if at is not None:
                yield text, Flaw("prompt_ends_in_space", at, f"the prompt ends in {text.text[at:][:8]!r}")


def _doubts(texts: Iterable[Text], places: Places, line: int) -> Iterator[Doubt]:
    for text in texts:
        if text.text.isascii():
            continue
        words = [(word, places.of(text, at)) for at, word in maybe_garbled(text.text)]
        if words:
            yield Doubt(line, tuple(words))


def _no_parser(_record: dict[str, Any]) -> Conversation:
    """What a record of an unknown format says: nothing that is known."""
    return Conversation()


def refuse(error: RecordError, block: LineBlock, index: int, line: int, tally: Tally) -> None:
    """Add the finding of a record that a stage refused."""
    rule = BY_NAME[error.code]
    column = None
    if tally.keeps(rule.code):
        column = make_reject(error, block.lines[index], block.file, line, 0).column
    tally.add(rule.code, error.message, line, column)


def _note_carriage_returns(block: LineBlock, first: int, tally: Tally) -> None:
    for index in range(len(block.lines)):
        if block.had_return(index):
            tally.add_once("J022", first + index)

"""What is there twice: the rules of family D that compare a data set's records with each other.

Of each record two hashes of 8 bytes and a line number of 4 are kept; two texts that differ have the
same hash once in 10^19 times. At the end they are sorted, for which some 100 bytes a record are there
at once.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from sftcli.conversation import Conversation

Ints = npt.NDArray[np.int64]
_NONE = 0  # the hash of a prompt that a record does not have


@dataclass
class Prints:
    """The fingerprints of a split's N records.

    whole: int64[N], of all that a record says. prompt: int64[N], of what comes before its last
    answer, 0 where nothing does. line: int32[N], counted from the split's first one.
    """

    whole: list[Ints] = field(default_factory=list)
    prompt: list[Ints] = field(default_factory=list)
    line: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def add(self, conversations: Sequence[Conversation], lines: Sequence[int]) -> None:
        pairs = chain.from_iterable(map(_hashes, conversations))
        hashes = np.fromiter(pairs, np.int64, 2 * len(conversations)).reshape(-1, 2)
        self.whole.append(hashes[:, 0].copy())
        self.prompt.append(hashes[:, 1].copy())
        self.line.append(np.array(lines, np.int32))


def find_repeats(
    whole: Ints, prompt: Ints, file: Ints, on: Collection[str]
) -> Iterator[tuple[str, Ints, Ints]]:
    """For each rule that is `on` its code, the records that break it, and for each the one before it.

    whole, prompt: int64[N], the fingerprints of all records in order. file: int64[N], each one's
    file. Where a record is told as a whole, its prompt alone is not told again.
    """
    first_whole, first_prompt = _firsts(whole), _firsts(prompt)
    here = np.arange(len(whole))
    again = first_whole != here
    asked = (first_prompt != here) & (prompt != _NONE)
    elsewhere = file[first_prompt] != file
    differs = whole[first_prompt] != whole
    for code, broken, first in (
        ("D001", again, first_whole),
        ("D002", asked & differs & ~again, first_prompt),
        ("D003", asked & elsewhere & ~(again & ("D001" in on)), first_prompt),
    ):
        if code in on:
            records = np.flatnonzero(broken)
            yield code, records, first[records]


def _firsts(hashes: Ints) -> Ints:
    """int64[N]: for each record the first one with its hash, which may be itself."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = ordered[1:] != ordered[:-1]
    firsts = np.empty_like(order)
    firsts[order] = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    return firsts


def _hashes(conversation: Conversation) -> tuple[int, int]:
    """The hashes of all that a record says, and of what comes before its last answer."""
    messages = conversation.messages
    if len(messages) == 2 and not conversation.tools:
        asked, answer = messages
        if asked.role == "user" and not answer.tool_calls and not answer.reasoning_content:
            return hash((asked.content, answer.content)), hash(asked.content)
    if messages:
        turns = [
            (turn.role, turn.content, repr(turn.tool_calls), turn.reasoning_content) for turn in messages
        ]
        last = max((at for at, turn in enumerate(messages) if turn.role == "assistant"), default=0)
        tools = repr(conversation.tools)
        return hash((*turns, tools)), hash((*turns[:last], tools)) if last else _NONE
    if conversation.segments is not None:
        segments = [(segment.text, segment.trained) for segment in conversation.segments]
        asked_texts = tuple(text for text, trained in segments if not trained)
        return hash(tuple(segments)), hash(asked_texts) if asked_texts else _NONE
    return hash(repr(sorted(conversation.fields.items()))), _NONE

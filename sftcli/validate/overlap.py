"""What stands in another data set too, such as one for evaluation: the --against rules of family D.

As in the decontamination of GPT-3 (Brown et al. 2020, appendix C), texts are compared by runs of 13
words, without case and punctuation, and runs that more than 10 of the other set's records have are
left out as common phrases. There one common run was enough; here a share of the other record's runs
is asked for, since one run of 13 words is often a quotation. The share is that of the whole record or,
where it is larger, that of its prompt alone, so that a question is found that was answered in other words.
Records of fewer words are compared by their prompts as a whole.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sftcli.conversation import Conversation

WORDS = 13
MOST_RECORDS = 10
OVERLAP = 0.5

Hashes = npt.NDArray[np.uint64]
_FEWEST_WORDS = 3  # of a field that may be a prompt; one word may be an answer or a label
_WORD = re.compile(r"\w+")
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits are well mixed
_TABLE_BITS = 22


@dataclass
class OtherSet:
    """The other set's prompts and runs of words.

    `overlap`: the share of a record's runs (0 to 1) from which on it is told; at 0 one run is enough.
    """

    overlap: float = OVERLAP
    places: list[str] = field(default_factory=list)
    _prompts: dict[int, int] = field(default_factory=dict)
    # The parts that shares are counted of: each record's whole text, and its prompts. With each the
    # record's number.
    _texts: list[str] = field(default_factory=list)
    _records: list[int] = field(default_factory=list)

    def add(self, conversation: Conversation, place: str) -> None:
        """Add a record before the set is used. Of one without a known format any text may be the prompt."""
        prompts = [prompt_of(conversation)]
        if conversation.fields and not conversation.messages:
            texts = (_plain(value) for value in conversation.fields.values() if isinstance(value, str))
            prompts = [text for text in texts if text.count(" ") >= _FEWEST_WORDS - 1]
        for prompt in filter(None, prompts):
            self._prompts.setdefault(hash(prompt), len(self.places))
        parts = [_words_of(conversation), *(prompt for prompt in prompts if prompt.count(" ") >= WORDS - 1)]
        self._texts += parts
        self._records += [len(self.places)] * len(parts)
        self.places.append(place)

    def index(self) -> None:
        """Make the set ready, once all its records are there."""
        runs, part = _runs(self._texts)
        record = np.array(self._records, np.int64)
        self._part_of = record
        self._is_whole = np.diff(record, prepend=-1) > 0  # a record's first part
        self._runs, self._owner = _pairs(runs, part)
        # In how many records a run is: each has a whole text, which holds the runs of its prompts.
        common, counts = np.unique(_pairs(runs, record[part])[0], return_counts=True)
        rare = ~np.isin(self._runs, common[counts > MOST_RECORDS])
        self._runs, self._owner = self._runs[rare], self._owner[rare]
        self._sizes = np.bincount(self._owner, minlength=len(self._texts))
        self._texts, self._records = [], []
        self._table = np.zeros(1 << _TABLE_BITS, np.bool_)
        self._table[_slots(self._runs)] = True

    def same_prompt(self, conversation: Conversation) -> str | None:
        """The place in the other set where the record's prompt stands, if it does."""
        prompt = prompt_of(conversation)
        found = self._prompts.get(hash(prompt)) if prompt else None
        return None if found is None else self.places[found]

    def overlaps(self, conversations: Sequence[Conversation]) -> Iterable["Overlap"]:
        """What is told of each record that holds enough of one in the other set."""
        runs, record = _runs(list(map(_words_of, conversations)))
        near = np.flatnonzero(self._table[_slots(runs)])
        if not len(near):
            return
        pairs = np.unique(np.stack([runs[near], record[near].astype(np.uint64)]), axis=1)
        first = np.searchsorted(self._runs, pairs[0], "left")
        counts = np.searchsorted(self._runs, pairs[0], "right") - first
        which = np.repeat(pairs[1].astype(np.int64), counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        others = self._owner[np.repeat(first, counts) + inside]
        both, common = np.unique(np.stack([which, others]), axis=1, return_counts=True)
        shares = common / self._sizes[both[1]] if len(common) else np.zeros(0)
        for index in np.unique(both[0]).tolist():
            here = np.flatnonzero(both[0] == index)
            best = int(here[np.argmax(shares[here])])
            if shares[best] >= self.overlap:
                part = int(both[1, best])
                place = self.places[self._part_of[part]]
                whole = bool(self._is_whole[part])
                yield Overlap(index, place, int(common[best]), int(self._sizes[part]), whole)


class Overlap(NamedTuple):
    """`common` of the `size` runs of the record at `place`, or of its prompt alone, are in record `at`."""

    at: int
    place: str
    common: int
    size: int
    is_whole: bool

    def __str__(self) -> str:
        of = "" if self.is_whole else "of the prompt "
        share = f"{self.common / self.size:.0%}"
        return f"{self.common} of the {self.size} runs of 13 words {of}at {self.place} stand here ({share})"


def prompt_of(conversation: Conversation) -> str:
    """What the user says before the last answer, without case and with single spaces."""
    if conversation.messages:
        texts = [turn.content for turn in conversation.messages if turn.role == "user"]
    elif conversation.segments:
        texts = [part.text for part in conversation.segments if not part.trained] or [
            part.text for part in conversation.segments
        ]
    else:
        texts = [value for value in conversation.fields.values() if isinstance(value, str)]
    return _plain(" ".join(texts))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _words_of(conversation: Conversation) -> str:
    """All that is said but the system's text, which many records share."""
    if conversation.messages:
        return "\n".join(turn.content for turn in conversation.messages if turn.role != "system")
    if conversation.segments:
        return "\n".join(part.text for part in conversation.segments)
    return "\n".join(value for value in conversation.fields.values() if isinstance(value, str))


def _runs(texts: Sequence[str]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The hashes of all runs of WORDS words in R texts, uint64[N], and each one's text, int64[N]."""
    words = [_WORD.findall(text.casefold()) for text in texts]
    hashes = np.array([hash(word) for text in words for word in text], np.int64).view(np.uint64)
    sizes = np.array([len(text) for text in words], np.int64)
    if len(hashes) < WORDS:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    count = len(hashes) - WORDS + 1
    runs = np.zeros(count, np.uint64)
    for at in range(WORDS):
        runs = runs * _STEP + hashes[at : at + count]
    owner = np.repeat(np.arange(len(texts)), sizes)
    whole = owner[:count] == owner[WORDS - 1 :]
    return runs[whole], owner[:count][whole]


def _pairs(runs: Hashes, owner: npt.NDArray[np.int64]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Runs with their owners, each pair once, ordered by run."""
    if not len(runs):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    pairs = np.unique(np.stack([runs, owner.astype(np.uint64)]), axis=1)
    return pairs[0], pairs[1].astype(np.int64)


def _slots(runs: Hashes) -> npt.NDArray[np.int64]:
    return ((runs * _STEP) >> np.uint64(64 - _TABLE_BITS)).astype(np.int64)

"""The --against files -> the other set: every record of them that says anything is in it."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from sftcli.config import Config
from sftcli.conversation import Conversation
from sftcli.errors import FileError, UsageError
from sftcli.parse import decode_lines
from sftcli.plan import STDIN, Split, plan_splits
from sftcli.read import read_blocks
from sftcli.validate.beside import all_strings
from sftcli.validate.formats import FileJudges, JudgeMaker
from sftcli.validate.overlap import OtherSet
from sftcli.validate.settings import Settings
from sftcli.validate.tally import Limits, Tally

_NOTHING = Limits(frozenset(), frozenset(), 0, None)


def other_set(settings: Settings, config: Config, inputs: Sequence[Split]) -> tuple[OtherSet, list[str]]:
    """The set, and notes on lines that could not be read.

    Raises UsageError where a file is one of the `inputs` too, cannot be read, or has no record at all.
    """
    other = OtherSet(settings.overlap)
    notes = []
    splits = plan_splits(settings.against)
    for split in splits:
        _check_apart(split, inputs)
    for file in dict.fromkeys(split.file for split in splits):
        count = len(other.places)
        try:
            bad = [place for split in splits if split.file == file for place in _add(split, config, other)]
        except FileError as problem:
            raise UsageError(f"--against: {problem}") from None
        if len(other.places) == count:
            raise UsageError(f"--against {file}: no record in it can be read; nothing could be compared")
        if bad:
            lines = "1 line" if len(bad) == 1 else f"{len(bad):,} lines"
            notes.append(f"{lines} of {file} could not be read, the first at {bad[0]}")
    other.index()
    return other, notes


def _check_apart(split: Split, inputs: Sequence[Split]) -> None:
    for given in inputs:
        if split.file == given.file or (
            STDIN not in (split.file, given.file) and os.path.samefile(split.file, given.file)
        ):
            raise UsageError(
                f"--against {split.file}: is one of the inputs too, and would be compared with itself; "
                "leave it out of them"
            )


def _add(split: Split, config: Config, other: OtherSet) -> Iterator[str]:
    """Add the records of a split to the set; the places of lines that say nothing."""
    plain = structs.replace(config, tokenizer=None, template=None, record_format="auto")
    file = FileJudges(JudgeMaker(plain, _NOTHING, None, None, None, None))
    for block in read_blocks(split):
        judges = file.of(block)
        good = {one.at: one.conversation for one in judges.records.judge(block, Tally(_NOTHING))}
        for index, record in enumerate(decode_lines(block.lines)):
            if record is None:
                continue
            place = f"{split.file}:{block.first_line + index}"
            conversation = good.get(index)
            if conversation is None and isinstance(record, dict):
                # Sets for evaluation have all sorts of fields, any of which may be the prompt.
                conversation = _of_any_shape(record)
            if conversation is None:
                yield f"{place}:{getattr(record, 'column', None) or 1}"
            else:
                other.add(conversation, place)


def _of_any_shape(record: dict[str, Any]) -> Conversation | None:
    """What a record says that no parser takes: all texts that are in it."""
    texts = {str(at): text.text for at, text in enumerate(all_strings(record)) if not text.is_key}
    return Conversation(fields=texts) if any(text.strip() for text in texts.values()) else None

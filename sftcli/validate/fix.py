"""Mends what is safe to mend, into another file: every other byte stays as it is."""

import os
from bz2 import BZ2File
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from gzip import GzipFile
from itertools import pairwise
from lzma import LZMAFile
from typing import Any, BinaryIO

from sftcli.config import Config
from sftcli.errors import FileError, UsageError
from sftcli.parse.failure import Names
from sftcli.plan import STDIN, plan_splits
from sftcli.read import LINE_TOO_LONG, LineBlock, is_blank, read_blocks
from sftcli.read.sniff import UTF8_BOM
from sftcli.validate.formats import FileJudges, JudgeMaker
from sftcli.validate.judge import Good
from sftcli.validate.place import Places
from sftcli.validate.tally import Limits, Tally
from sftcli.validate.texts import texts_of
from sftcli.whole_file import require_plain, whole_file

MENDED = ("J021", "J022", "J023", "C012", "R016")
_TURNS = {"messages": "messages", "sharegpt": "conversations"}


def fix(config: Config, output: str, rules: frozenset[str]) -> Counter[str]:
    """Write the one input of a config to `output`, mended; how many places by rule.

    Only `rules` are mended, of those in MENDED. A line that is no good record for other reasons is
    copied. Raises UsageError where there are several inputs, or where `output` is the input or no
    plain file.
    """
    on = frozenset(MENDED) & rules
    splits = plan_splits(config.inputs)
    files = list(dict.fromkeys(split.file for split in splits))
    if len(files) != 1:
        raise UsageError(f"--fix: one input at a time, found {len(files)}; run it for each file")
    if splits[0].kind != "jsonl":
        raise UsageError(f"--fix: {files[0]}: only JSON lines are mended; convert it first")
    if files[0] != STDIN and os.path.exists(output) and os.path.samefile(files[0], output):
        raise UsageError(f"--fix: {output}: is the input, which is never changed; name another file")
    require_plain("--fix: -o", output)
    limits = Limits(on, frozenset(), 0, None)
    mended: Counter[str] = Counter()
    with whole_file(output) as plain, _packed(output, plain) as out:
        file = FileJudges(JudgeMaker(config, limits, None, None, None, None))
        for split in splits:
            for block in read_blocks(split):
                judge = file.of(block).records
                good = {one.at: one for one in judge.judge(block, Tally(limits))}
                out.write(b"".join(_mended(block, good, judge.record_format, config.field, on, mended)))
    return mended


@contextmanager
def _packed(output: str, plain: BinaryIO) -> Iterator[BinaryIO]:
    """What is written here is packed as the name of the output says; of the same text the same bytes."""
    suffix = os.path.splitext(output.lower())[1]
    packer: Any
    if suffix == ".gz":
        packer = GzipFile(filename="", mode="wb", compresslevel=6, fileobj=plain, mtime=0)
    elif suffix == ".bz2":
        packer = BZ2File(plain, "wb")
    elif suffix == ".xz":
        packer = LZMAFile(plain, "wb")  # noqa: SIM115 (closed below)
    elif suffix == ".zst":
        from zstandard import ZstdCompressor

        packer = ZstdCompressor(write_checksum=True).stream_writer(plain, closefd=False)
    else:
        yield plain
        return
    with packer:
        yield packer


def _mended(
    block: LineBlock,
    good: dict[int, Good],
    record_format: str | None,
    names: Names,
    on: frozenset[str],
    mended: Counter[str],
) -> list[bytes]:
    """The lines of a block as they are written."""
    written = []
    if block.first_byte == len(UTF8_BOM):
        if "J021" in on:
            mended["J021"] += 1
        else:
            written.append(UTF8_BOM)
    for index, given in enumerate(block.lines):
        if given == LINE_TOO_LONG:
            place = f"{block.file}:{block.first_line + index}"
            raise FileError(f"{place}: --fix: the line is too long to be copied; take it out first")
        if is_blank(given) and "J023" in on:
            mended["J023"] += 1
            if block.had_return(index) and "J022" in on:
                mended["J022"] += 1  # it goes with the line
            continue
        line, end = given, b"\n" if block.break_bytes else b""
        if block.had_return(index):
            if "J022" in on:
                mended["J022"] += 1
                line = line.rstrip(b"\r")  # where one was, there may be more
            else:
                end = b"\r" + end
        record = good.get(index)
        if record is not None:
            line = _without_trailing_turns(line, record, record_format, names, on, mended)
            line = _with_space_moved(line, record, record_format, names, on, mended)
        written.append(line + end)
    return written


def _without_trailing_turns(
    raw: bytes, good: Good, record_format: str | None, names: Names, on: frozenset[str], mended: Counter[str]
) -> bytes:
    """The line without the turns of the user that nobody answers."""
    name = _TURNS.get(record_format or "")
    turns = good.conversation.messages
    if name is None or "R016" not in on or turns[-1].role != "user":
        return raw
    key = names.get(name, name)
    last = max(at for at, turn in enumerate(turns) if turn.role != "user")
    # A system text that stands beside the turns has become the first message.
    kept = last - (len(turns) - len(good.record[key]))
    if kept < 0:
        return raw
    places = Places(raw.decode())
    end, stop = places.end((key, kept)), places.end((key, len(good.record[key]) - 1))
    mended["R016"] += 1
    return (places.line[:end] + places.line[stop:]).encode()


def _with_space_moved(
    raw: bytes, good: Good, record_format: str | None, names: Names, on: frozenset[str], mended: Counter[str]
) -> bytes:
    """The line with the white space between a prompt and its answer in the answer, as it is written."""
    if "C012" not in on:
        return raw
    places = Places(raw.decode())
    changes: list[tuple[int, int, str]] = []  # from where to where, and what stands there instead
    for prompt, answer in pairwise(texts_of(good.record, record_format, names)):
        at = prompt.loose_end
        if at is None:
            continue
        start, end = places.column(prompt.path, at) - 1, places.end(prompt.path) - 1
        begin = places.column(answer.path)  # just after the quote
        changes += [(start, end, ""), (begin, begin, places.line[start:end])]
        mended["C012"] += 1
    return _changed(places.line, changes).encode() if changes else raw


def _changed(line: str, changes: Sequence[tuple[int, int, str]]) -> str:
    """The line with what stands between places, of which none overlap, changed."""
    parts, done = [], 0
    for start, end, instead in sorted(changes):
        parts += [line[done:start], instead]
        done = end
    return "".join([*parts, line[done:]])

"""What a prepared folder says of itself, checked for its shape: Facts, and the tokenizer it keeps."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from sftcli.arrange.asked import SIDES, TRAIN
from sftcli.errors import EnvironmentFault, OutputError
from sftcli.manifest import MANIFEST, read_manifest
from sftcli.tokenizer import Tokenizer, load_tokenizer

# What is counted lies on a disk; a number beyond this is a lie, and too large for a column.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class FileFacts(msgspec.Struct):
    bytes: Count
    sha256: str


class ShardFacts(msgspec.Struct):
    """`input` is the file that all rows come from, None where they come from several.

    `split` is train or validation.
    """

    file: str
    input: str | None
    rows: Count
    tokens: Count
    trained_tokens: Count
    split: str = TRAIN


class InputFacts(msgspec.Struct):
    """Of standard input and of pipes only the name is known. `source` is named where there are several."""

    file: str
    source: str | None = None
    bytes: Count | None = None
    sha256: str | None = None


class Counts(msgspec.Struct):
    """`examples` are the records that stand in the rows; None in folders of before they were counted.

    `packing` is what became of packed rows.
    """

    lines: Count
    rows: Count
    blank: Count
    tokens: Count
    trained_tokens: Count
    dropped: dict[str, Count]
    rejected: dict[str, Count]
    straddling_tokens: dict[str, Count]
    control_text_rows: Count
    notes: dict[str, Count]
    examples: Count | None = None
    packing: dict[str, Any] = {}

    @property
    def standing(self) -> int:
        """The records that stand in the rows: one in each, where that was not counted."""
        return self.rows if self.examples is None else self.examples


class AddedToken(msgspec.Struct):
    text: str
    id: Count


class TokenizerFacts(msgspec.Struct):
    name: str
    sha256: str
    size: Count
    added_tokens: list[AddedToken]
    special_tokens: dict[str, str]


class SourceFacts(msgspec.Struct):
    """One of several sources: its name, and the lines that were read of it."""

    name: str
    lines: Count


class Facts(msgspec.Struct):
    """What is used of a manifest; other keys are left alone."""

    format_version: int
    sftcli: str
    libraries: dict[str, str]
    config: dict[str, Any]
    record_format: str
    template: str
    tokenizer: TokenizerFacts
    inputs: list[InputFacts]
    shards: list[ShardFacts]
    counts: Counts
    files: dict[str, FileFacts]
    sources: list[SourceFacts] = []


def facts_in(folder: Path) -> Facts:
    """The manifest of a finished dataset, whose shards are files of the folder and add up.

    Raises EnvironmentFault where there is none or it contradicts itself, OutputError where it is
    none of sftcli's.
    """
    place = folder / MANIFEST
    try:
        facts = msgspec.convert(read_manifest(folder), Facts)
    except msgspec.ValidationError as problem:
        raise OutputError(f"{place}: not a manifest of sftcli: {problem}") from None
    for shard in facts.shards:
        # A manifest may come from anyone, and must not lead out of its folder.
        name = shard.file.removeprefix(f"{shard.split}/") if shard.split in SIDES else shard.file
        if name in ("", ".", "..") or not {"/", "\\", "\0"}.isdisjoint(name):
            raise OutputError(f"{place}: names the shard {shard.file!r}, which is no file in this folder")
    rows = sum(shard.rows for shard in facts.shards)
    if rows != facts.counts.rows:
        raise EnvironmentFault(
            f"{place}: its counts say {facts.counts.rows:,} rows, and its shards add up to {rows:,}; "
            "prepare it again"
        )
    return facts


def own_tokenizer(folder: Path, facts: Facts) -> Tokenizer:
    """The tokenizer that a folder keeps. Raises EnvironmentFault where it is not the one of its rows."""
    again = "copy it there again, or run prepare again"
    place = folder / "tokenizer"
    if not place.is_dir():  # the hub must not be asked for such a name
        raise EnvironmentFault(f"{folder}: its tokenizer/ is missing; {again}")
    tokenizer = load_tokenizer(str(place))
    own, wanted = tokenizer.sha256, facts.tokenizer.sha256
    if own != wanted:
        raise EnvironmentFault(
            f"{place}: is not the tokenizer that made the rows: its sha256 is {own[:12]}..., and the "
            f"manifest says {wanted[:12]}...; {again}"
        )
    return tokenizer

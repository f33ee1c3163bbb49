"""Run: one config with its inputs planned, its job made, and its engines loading."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from sftcli.config import Config
from sftcli.crosscheck import Engines
from sftcli.errors import FileError, InternalError, RecordError
from sftcli.job import Job, make_job, open_tokenizer
from sftcli.plan import STDIN, Split, plan_splits
from sftcli.read import LineBlock, read_blocks
from sftcli.tokenizer import Tokenizer

_EMPTY = ("the input is empty", "the inputs are empty")
_SAMPLE_LINES = 100  # looked at to settle on a record format


class Run:
    """What `prepare` and `inspect` start from.

    Raises UsageError for options that cannot work, FileError where no record of the first input
    has a known shape.
    """

    def __init__(self, config: Config, *, load_engines: bool = True) -> None:
        self.splits = plan_splits(config.inputs)
        self.files = list(dict.fromkeys(split.file for split in self.splits))
        self.input_bytes = sum(Path(file).stat().st_size for file in self.files if file != STDIN)
        tokenizer = open_tokenizer(config)
        # First of all, since the fast one loads in the background; one row does without them.
        self._engines = Engines(tokenizer, config.encoder, self.input_bytes) if load_engines else None
        self._opened: tuple[int, list[LineBlock], Iterator[LineBlock]] | None = None
        self.job = self._make_job(config, tokenizer)

    @property
    def engines(self) -> Engines:
        if self._engines is None:
            raise InternalError("a run that was made without engines is asked for them")
        return self._engines

    def blocks(self, split: Split) -> Iterator[LineBlock]:
        """The split's lines; those that were read for the sample are not read again."""
        if self._opened is not None and self._opened[0] == split.index:
            _, read, rest = self._opened
            self._opened = None
            return itertools.chain(read, rest)
        return read_blocks(split)

    def _make_job(self, config: Config, tokenizer: Tokenizer) -> Job:
        split, sample = self._sample()
        if not sample:
            raise FileError(f"{', '.join(self.files)}: no records: " + _EMPTY[len(self.files) > 1])
        try:
            return make_job(config, tokenizer, sample)
        except RecordError as problem:
            raise FileError(f"{split.file}: {problem}") from None

    def _sample(self) -> tuple[Split, list[bytes]]:
        """The first lines of the first input that has any."""
        for split in self.splits:
            blocks = read_blocks(split)
            read: list[LineBlock] = []
            for block in blocks:
                read.append(block)
                if any(line and not line.isspace() for line in block.lines):
                    self._opened = (split.index, read, blocks)
                    return split, block.lines[:_SAMPLE_LINES]
            # Standard input cannot be read a second time.
            self._opened = (split.index, read, iter(()))
        return self.splits[0], []

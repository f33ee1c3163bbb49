"""Run: one config with its inputs planned, its job made, and its engines loading."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from sftcli.config import Config
from sftcli.crosscheck import Engines
from sftcli.errors import ConfigError, FileError, InternalError, RecordError
from sftcli.job import Job, make_job, open_tokenizer, template_bytes
from sftcli.parse import NOTHING_READ, decode_line, make_reject, records_in
from sftcli.plan import Split, bytes_of, plan_splits, size_of
from sftcli.read import LineBlock, is_blank, read_blocks
from sftcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    from sftcli.selected import SelectedRules

_EMPTY = ("the input is empty", "the inputs are empty")
_SAMPLE_LINES = 100  # looked at to settle on a record format
_MOST_HELD = 64 << 20  # bytes of bad lines that are kept while a record is looked for


class Told(msgspec.Struct, frozen=True):
    """What one process found out of a run's inputs and template, and another need not look up again."""

    splits: list[Split]
    sample: list[bytes]
    template: bytes | None


class Run:
    """What `prepare` and `inspect` start from.

    `shared` are the tokenizer and the engines of a run with several sources, of which this is one. `told`
    stands for the inputs and the file of the template, where another process has looked at them.
    Raises UsageError for options that cannot work, FileError where no record of the first input
    has a known shape.
    """

    def __init__(
        self,
        config: Config,
        *,
        load_engines: bool = True,
        shared: tuple[Tokenizer, Engines | None] | None = None,
        told: Told | None = None,
    ) -> None:
        if config.sources:
            raise ConfigError(
                "the config has `sources`, which prepare and inspect read; give this command a config "
                "without them, with the inputs and options of one source"
            )
        self.splits = plan_splits(config.inputs, bytes_of(config.split_size)) if told is None else told.splits
        self.files = list(dict.fromkeys(split.file for split in self.splits))
        self.input_bytes = 0 if told is not None else size_of(self.files)
        self._engines: Engines | None
        if shared is not None:
            tokenizer, self._engines = shared
        else:
            tokenizer = open_tokenizer(config)
            # First of all, since the fast one loads in the background; one row does without them.
            self._engines = Engines(tokenizer, config.encoder, self.input_bytes) if load_engines else None
        self._opened: dict[int, tuple[list[LineBlock], Iterator[LineBlock]]] = {}
        self.template = template_bytes(config) if told is None else told.template
        self.job = self._make_job(config, tokenizer, told)
        self.rules = self._select_rules(config)

    @property
    def engines(self) -> Engines:
        if self._engines is None:
            raise InternalError("a run that was made without engines is asked for them")
        return self._engines

    def blocks(self, split: Split) -> Iterator[LineBlock]:
        """The split's lines; those that were read for the sample are not read again."""
        read, rest = self._opened.pop(split.index, ([], None))
        return read_blocks(split) if rest is None else itertools.chain(read, rest)

    def _select_rules(self, config: Config) -> "SelectedRules | None":
        """The rules that are on beside the errors of the stages; loaded only where there are any."""
        if not config.select or self._engines is None:
            return None
        from sftcli.rules.beside import rules_beside
        from sftcli.selected import SelectedRules

        on = rules_beside(config.select, config.ignore)
        return SelectedRules(on, self.job, self._engines) if on else None

    def _make_job(self, config: Config, tokenizer: Tokenizer, told: Told | None) -> Job:
        if told is not None:
            self.sample = told.sample
            return make_job(config, tokenizer, told.sample, told.template)
        split, sample = self._sample()
        self.sample = sample
        if not sample:
            message = f"{', '.join(self.files)}: no records: " + _EMPTY[len(self.files) > 1]
            raise FileError(message, code="empty_input")
        self._refuse_unreadable(split, sample)
        try:
            return make_job(config, tokenizer, sample, self.template)
        except RecordError as problem:
            raise FileError(f"{split.file}: {problem}", code=problem.code) from None

    @property
    def told(self) -> Told:
        """What another process needs to know to do splits of this run."""
        return Told(self.splits, self.sample, self.template)

    def _refuse_unreadable(self, split: Split, sample: list[bytes]) -> None:
        """Where none of the first lines is a JSON object, the first one's fault says the most."""
        first: RecordError | None = None
        for raw in sample:
            try:
                decode_line(raw, NOTHING_READ)
                return
            except RecordError as problem:
                first = first or problem
        for block in self._opened[split.index][0]:
            for index, raw in enumerate(block.lines):
                if raw == sample[0] and first is not None:
                    line, byte = block.first_line + index, block.byte_of(index)
                    bad = make_reject(first, raw, block.file, line, byte)
                    raise FileError(str(bad), code=bad.code, line=bad.line, column=bad.column)

    def _sample(self) -> tuple[Split, list[bytes]]:
        """The first lines with text of the first input that has any.

        Where none of them is a record, the next ones that hold one, as far as there is any in a while.
        """
        for split in self.splits:
            blocks = read_blocks(split)
            read: list[LineBlock] = []
            # A pipe cannot be read a second time.
            self._opened[split.index] = (read, blocks)
            first: list[bytes] = []
            held = 0
            for block in blocks:
                read.append(block)
                held += block.width
                lines = [line for line in block.lines if not is_blank(line)]
                for start in range(0, len(lines), _SAMPLE_LINES):
                    some = lines[start : start + _SAMPLE_LINES]
                    if next(records_in(some), None) is not None:
                        return split, some
                    first = first or some
                if held > _MOST_HELD:
                    break
            if first:
                return split, first
        return self.splits[0], []

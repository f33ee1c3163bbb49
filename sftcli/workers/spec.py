"""Spec: all that a process must know to do any split of a run, as bytes."""

from pathlib import Path

import msgspec

from sftcli.budget import Budget
from sftcli.config import Config
from sftcli.crosscheck import Engines
from sftcli.job import open_tokenizer
from sftcli.lock import join
from sftcli.run import Told
from sftcli.sources import Handed, Sources
from sftcli.staging import Staging


class Spec(msgspec.Struct, frozen=True):
    """A run as another process does it.

    `tokenizer` are the tokenizer's files by name, before they are extended. `fatal` and `kept` are those of
    each split's Budget. `owner` is who shares the lock of `out`. `input_bytes` decides whether the fast
    engine is worth its loading.
    """

    config: Config
    tokenizer: dict[str, bytes]
    runs: list[Told]
    out: str
    owner: str
    input_bytes: int
    fatal: int | None
    kept: int | None

    @classmethod
    def of(cls, sources: Sources, staging: Staging, budget: Budget, owner: str) -> "Spec":
        files, runs, out = sources.tokenizer.files, sources.told, str(staging.out.absolute())
        return cls(sources.config, files, runs, out, owner, sources.input_bytes, budget.fatal, budget.kept)

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Spec":
        return msgspec.msgpack.decode(data, type=cls)

    def open(self) -> tuple[Sources, Staging, Budget]:
        """The run, with its engines loading, and its lock held by this process too."""
        join(Path(self.out), self.owner)
        tokenizer = open_tokenizer(self.config, self.tokenizer)
        engines = Engines(tokenizer, self.config.encoder, self.input_bytes)
        sources = Sources(self.config, handed=Handed(tokenizer, engines, self.runs))
        return sources, Staging(Path(self.out)), Budget(fatal=self.fatal, kept=self.kept)

"""How many processes a run takes, known before anything heavy is loaded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sftcli.config import Config
from sftcli.cores import cores
from sftcli.errors import SftcliError
from sftcli.fastload import local_json
from sftcli.plan import Split, bytes_of, plan_splits, size_of

if TYPE_CHECKING:
    from sftcli.workers.pool import Pool

# Less input than this is done sooner than other processes have loaded their tokenizers.
WORTH_SHARING = 64_000_000


def workers_for(config: Config) -> int:
    """The processes that do the splits of a run; 1 is this one alone.

    A limit counts from one split to the next, and a pipe can be read by this process only.
    """
    limited = config.limit is not None or any(source.max_records is not None for source in config.sources)
    if limited or config.num_proc == 1:
        return 1
    try:
        splits = list(_splits(config))
    except SftcliError:
        return 1  # the run itself says what is wrong
    files = {split.file for split in splits}
    if not all(Path(file).is_file() for file in files):
        return 1
    wanted = config.num_proc
    if wanted == "auto":
        wanted = cores() if size_of(files) >= WORTH_SHARING else 1
    return max(1, min(wanted, len(splits)))


@contextmanager
def open_pool(config: Config) -> Iterator["Pool | None"]:
    """The processes that do the splits of a run, loading already; None where this one does them alone."""
    count = workers_for(config)
    if count < 2:
        yield None
        return
    from sftcli.workers.pool import Pool

    path = local_json(config.tokenizer) if config.encoder != "tokenizers" else None
    pool = Pool(count, None if path is None else path.read_bytes())
    try:
        yield pool
    finally:
        pool.close()


def _splits(config: Config) -> Iterator[Split]:
    size = bytes_of(config.split_size)
    written: Sequence[Sequence[str]] = [source.inputs for source in config.sources] or [config.inputs]
    for inputs in written:
        yield from plan_splits(inputs, size)

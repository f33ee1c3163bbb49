"""Loading of the fast engine, in the background from as early as can be.

A vocabulary of 128,000 tokens takes it most of a second. That is work outside Python, so that
imports, the reference and the first blocks of input can go on beside it.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from sftcli.tokenizer_files import MAX_BYTES

if TYPE_CHECKING:
    import fastokens

# The reference encodes about this much in the time that the fast engine takes to load.
WORTH_LOADING = 2_000_000


_begun: "dict[bytes, Future[fastokens.Tokenizer]]" = {}


def begin_loading(tokenizer_json: bytes, file: Path | None = None) -> "Future[fastokens.Tokenizer]":
    """Begin to load, or the loading already begun for the same bytes, which are those of `file`.

    The future raises ValueError where fastokens does not support the tokenizer.
    """
    digest = sha256(tokenizer_json).digest()
    if digest not in _begun:
        _begun.clear()
        _begun[digest] = _begin(tokenizer_json, file)
    return _begun[digest]


def _begin(tokenizer_json: bytes, file: Path | None) -> "Future[fastokens.Tokenizer]":
    begun = Event()

    def load() -> "fastokens.Tokenizer":
        import fastokens

        if file is not None:
            begun.set()
            loaded = fastokens.Tokenizer.from_file(str(file))  # keeps Python from others for less long
        else:
            text = tokenizer_json.decode()
            begun.set()
            loaded = fastokens.Tokenizer.from_json_str(text)
        loaded.no_truncation()
        loaded.no_padding()
        return loaded

    pool = ThreadPoolExecutor(1)
    future = pool.submit(load)
    pool.shutdown(wait=False)
    # What comes next may hold on to Python for long: let this get to the part that needs none of it.
    begun.wait(1)
    return future


def warm_up(tokenizer: str | None, inputs: Iterable[str]) -> None:
    """Begin to load a tokenizer.json on this disk, if the inputs are large enough to be worth it."""
    path = local_json(tokenizer)
    sizes = (Path(file).stat().st_size for file in inputs if Path(file).is_file())
    if path is not None and sum(sizes) >= WORTH_LOADING:
        begin_loading(path.read_bytes(), path)


def local_json(tokenizer: str | None) -> Path | None:
    """The tokenizer.json of a tokenizer that is named by a path; None for one that is too large to be one."""
    path = Path(tokenizer or "")
    path = path / "tokenizer.json" if path.is_dir() else path
    return path if path.suffix == ".json" and path.is_file() and path.stat().st_size <= MAX_BYTES else None

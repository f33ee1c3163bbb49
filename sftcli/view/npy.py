"""Bare arrays of ids and of what is learnt, with the bounds of their rows, read as columns."""

import gzip
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sftcli.layout import Layout
from sftcli.layout.columns import array
from sftcli.view.marks import Ints
from sftcli.write_npy import files_of

if TYPE_CHECKING:
    import pyarrow as pa

_TOKENS_AT_A_TIME = 1 << 20


class Npy:
    """A shard of three files, of which `path` is that of the ids; `rows` are the rows of each unit.

    The arrays are mapped and not read: getting at a row takes its own tokens alone, but for the bounds
    of all rows. Raises OSError, or ValueError where the files contradict one another.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        files = dict(zip(("input_ids", "loss_mask"), files_of(path)[:2], strict=True))
        self.schema: pa.Schema = layout.schema
        self._values = {
            name: _mapped(file, layout.types.get(name, layout.columns[name].type))
            for name, file in files.items()
            if name in layout.names
        }
        bounds = files_of(path)[2]
        self._offsets = _offsets_in(bounds, max(map(len, self._values.values()), default=0))
        for name, values in self._values.items():
            if len(values) != self._offsets[-1]:
                raise ValueError(
                    f"{files[name].name} has {len(values):,} values, and the rows of {bounds.name} end at "
                    f"{self._offsets[-1]:,}"
                )
        units = np.arange(_TOKENS_AT_A_TIME, self._offsets[-1], _TOKENS_AT_A_TIME)
        firsts = np.unique(np.searchsorted(self._offsets, units))
        last = len(self._offsets) - 1
        self._firsts: list[int] = [0, *firsts[(firsts > 0) & (firsts < last)].tolist(), last]
        self.rows: list[int] = [stop - first for first, stop in pairwise(self._firsts) if stop > first]

    def read(self, unit: int, columns: Sequence[str]) -> dict[str, Any]:
        import pyarrow as pa

        own = self._offsets[self._firsts[unit] : self._firsts[unit + 1] + 1]
        if own[-1] - own[0] > np.iinfo(np.int32).max:
            raise ValueError(
                f"it has a row of {int(own[-1] - own[0]):,} tokens, which is more than can be read"
            )
        offsets = array(own - own[0], pa.int32())
        found = {}
        for name in columns:
            values = array(self._values[name][own[0] : own[-1]], self.schema.field(name).type.value_type)
            found[name] = pa.ListArray.from_arrays(offsets, values)
        return found


def _mapped(path: Path, type_: str) -> Any:
    dtype = np.dtype(type_)
    size = path.stat().st_size
    if size % dtype.itemsize:
        raise ValueError(f"{path.name} has {size:,} bytes, and its values take {dtype.itemsize} each")
    return np.memmap(path, dtype, mode="r") if size else np.zeros(0, dtype)  # nothing cannot be mapped


def _offsets_in(path: Path, tokens: int) -> Ints:
    """int64[R + 1]: where the rows of so many tokens begin and end, of lines `start,end`.

    Raises ValueError for others.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        raw = _unpacked(path, tokens)
        names = ["start", "end"]
        table = csv.read_csv(
            pa.py_buffer(raw or b"0,0\n"),
            read_options=csv.ReadOptions(use_threads=False, column_names=names),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.int64())),
        )
    except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowInvalid):
        raise ValueError(f"{path.name} is no gzip file of lines `start,end`, one for each row") from None
    columns = [table[name].combine_chunks() for name in names]
    if any(column.null_count for column in columns):
        raise ValueError(f"{path.name} has a line that is not `start,end`")
    starts, ends = (np.frombuffer(column.buffers()[1], np.int64) for column in columns)
    if not raw:
        return np.zeros(1, np.int64)
    if starts[0] != 0 or (starts[1:] != ends[:-1]).any() or (ends < starts).any():
        raise ValueError(f"{path.name}: its rows do not each begin where the one before ends")
    return np.concatenate((np.zeros(1, np.int64), ends))


def _unpacked(path: Path, tokens: int) -> bytes:
    """What a .csv.gz holds: a few bytes can unpack to any size, and rows have a token at least."""
    most = (tokens + 1) * (2 * len(str(tokens)) + 3)  # `start,end\r\n`
    with gzip.open(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise ValueError(
            f"{path.name} unpacks to more than {most:,} bytes, which is more than bounds of rows of "
            f"{tokens:,} tokens take"
        )
    return raw

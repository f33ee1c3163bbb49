"""TokenBatch -> shard: Arrow columns, made once, in a Parquet file or an Arrow stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftcli.batch import TokenBatch
from sftcli.errors import EnvironmentFault

ZSTD_LEVEL = 1  # measured: level 3 takes 1.6 times as long for 4% fewer bytes

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_TOKENS = 1 << 20  # what a reader takes in to get at one row

Write = Callable[[TokenBatch], None]


@cache
def schema() -> "pa.Schema":
    """The columns of every shard: lists without nulls, of which a row's three are equally long."""
    import pyarrow as pa

    types = {"input_ids": pa.int32(), "attention_mask": pa.int8(), "labels": pa.int32()}
    return pa.schema([(name, pa.list_(type_)) for name, type_ in types.items()])


def record_batch(batch: TokenBatch) -> "pa.RecordBatch":
    """The columns of `schema` for one batch; the arrays are shared, not copied."""
    import pyarrow as pa

    offsets = _array(batch.offsets.astype(np.int32))
    values = (batch.ids, np.ones(len(batch.ids), np.int8), batch.labels())
    columns = [pa.ListArray.from_arrays(offsets, _array(column)) for column in values]
    return pa.record_batch(columns, schema=schema())


def _array(values: npt.NDArray[Any]) -> "pa.Array":
    import pyarrow as pa

    # pa.array would do the same, and import pandas first wherever that is installed.
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


@contextmanager
def open_shard(path: Path, format_: str, compression: str) -> Iterator[Write]:
    """Write one shard; the file is whole only when the context ends without an error.

    `format_` is parquet or arrow. `compression` is a codec's name or "none". An Arrow record batch
    is one TokenBatch, a Parquet row group the next ones of together a million tokens or more.
    Raises EnvironmentFault where the disk fails.
    """
    opener = _parquet if format_ == "parquet" else _arrow
    try:
        with opener(path, compression) as write:
            yield write
    except OSError as problem:
        raise EnvironmentFault(f"{path}: cannot be written: {problem}") from None


@contextmanager
def _parquet(path: Path, compression: str) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[pa.RecordBatch] = []

    def flush() -> None:
        if waiting:
            table = pa.Table.from_batches(waiting)
            writer.write_table(table, row_group_size=len(table))
            waiting.clear()

    def write(batch: TokenBatch) -> None:
        waiting.append(record_batch(batch))
        if sum(len(part["input_ids"].values) for part in waiting) >= _ROW_GROUP_TOKENS:
            flush()

    with pq.ParquetWriter(
        path,
        schema(),
        compression=compression,
        compression_level=ZSTD_LEVEL if compression == "zstd" else None,
        # Measured: it costs time in every column, and only the attention mask gets smaller (by 15 kB
        # in 17 MB).
        use_dictionary=False,
        write_statistics=False,
    ) as writer:
        yield write
        flush()


@contextmanager
def _arrow(path: Path, compression: str) -> Iterator[Write]:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema(), options=options) as writer:
        yield lambda batch: writer.write_batch(record_batch(batch))

"""A Parquet file -> blocks of lines, one row each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sftcli.errors import FileError
from sftcli.read.block import LineBlock
from sftcli.read.sniff import check_parquet

_PARQUET_ROWS = 1024


def parquet_blocks(file: str) -> Iterator[LineBlock]:
    """The rows of a Parquet file, each written as JSON: a batch of rows per block.

    Arrow gives every struct all keys that any row has, so a null inside a struct is left out:
    absent is not null. Columns of dates, decimals and the like, which have no JSON form, are left
    out too. Raises FileError for a broken file, and for bytes where text should be.
    """
    check_parquet(file)
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    encode = msgspec.json.Encoder().encode
    try:
        # Arrow takes a name that begins with a tilde or a scheme for one elsewhere.
        with pq.ParquetFile(Path(file).absolute()) as source:
            columns = [column.name for column in source.schema_arrow if _has_json_form(column, file)]
            for batch in source.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
                rows = batch.to_pylist()
                lines = [encode({name: _without_nulls(row[name]) for name in row}) for row in rows]
                yield LineBlock(file, 0, lines, number, [0] * len(lines), None)
                number += len(lines)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        message = f"{file}: broken Parquet data ({problem}); get or write the file again"
        raise FileError(message, code="corrupt") from None


def _has_json_form(column: Any, file: str) -> bool:
    from pyarrow import types as t

    kind = column.type.value_type if t.is_dictionary(column.type) else column.type
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind):
        # Older writers leave text unmarked; to leave it out would look like a missing field.
        message = f"{file}: column {column.name!r} is bytes, not text; write it as text, or drop it"
        raise FileError(message, code="bytes_column")
    if t.is_nested(kind):
        parts = [_has_json_form(kind.field(index), file) for index in range(kind.num_fields)]
        return all(parts) and not t.is_union(kind)
    tests = (t.is_string, t.is_large_string, t.is_string_view, t.is_boolean, t.is_null)
    return any(test(kind) for test in (*tests, t.is_integer, t.is_floating))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value

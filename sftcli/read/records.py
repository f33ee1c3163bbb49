"""JSON arrays and Parquet -> blocks of lines, one record each."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from sftcli.errors import FileError
from sftcli.read.block import LINE_TOO_LONG, LineBlock
from sftcli.read.lines import UTF8_BOM

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_PARQUET_ROWS = 1024


def array_blocks(data: bytes, file: str, block_bytes: int, max_line_bytes: int) -> Iterator[LineBlock]:
    """The elements of a top-level JSON array, each as one line.

    An element keeps its own bytes, so that columns and byte offsets are those of the file; only
    line breaks between its parts become spaces. Raises FileError where `data` is no JSON array.
    """
    position = len(UTF8_BOM) if data.startswith(UTF8_BOM) else 0
    try:
        elements = _ARRAY.decode(data[position:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise FileError(f"{file}{_place(data, problem)}; correct the file there") from None
    starts, lines = [], []
    number = 0
    for element in elements:
        raw = bytes(element)
        # Between two elements there are only commas and white space.
        position = data.index(raw, position)
        starts.append(position)
        lines.append(raw.replace(b"\n", b" ") if len(raw) <= max_line_bytes else LINE_TOO_LONG)
        position += len(raw)
        if position - starts[0] >= block_bytes:
            yield _array_block(file, starts, lines, number, position)
            number += len(lines)
            starts, lines = [], []
    if lines:
        yield _array_block(file, starts, lines, number, position)


def _array_block(file: str, starts: list[int], lines: list[bytes], number: int, end: int) -> LineBlock:
    widths = [after - start for start, after in zip(starts, [*starts[1:], end], strict=True)]
    return LineBlock(file, starts[0], lines, number, widths)


def _place(data: bytes, problem: Exception) -> str:
    """Where and why an array is malformed, as ":line:column: ..."."""
    try:
        json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as better:
        return f":{better.lineno}:{better.colno}: a malformed JSON array: {better.msg}"
    except UnicodeDecodeError as better:
        return f":{data.count(bytes([10]), 0, better.start) + 1}: not UTF-8 at byte {better.start}"
    except (ValueError, RecursionError):
        pass
    return f": a malformed JSON array: {problem}"


def parquet_blocks(file: str) -> Iterator[LineBlock]:
    """The rows of a Parquet file, each written as JSON: a batch of rows per block.

    Arrow gives every struct all keys that any row has, so a null inside a struct is left out:
    absent is not null. Columns of dates, decimals and the like, which have no JSON form, are left
    out too. Raises FileError for a broken file, and for bytes where text should be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    encode = msgspec.json.Encoder().encode
    try:
        with pq.ParquetFile(file) as source:
            columns = [column.name for column in source.schema_arrow if _has_json_form(column, file)]
            for batch in source.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
                rows = batch.to_pylist()
                lines = [encode({name: _without_nulls(row[name]) for name in row}) for row in rows]
                yield LineBlock(file, 0, lines, number, [0] * len(lines))
                number += len(lines)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise FileError(f"{file}: broken Parquet data ({problem}); get or write the file again") from None


def _has_json_form(column: Any, file: str) -> bool:
    from pyarrow import types as t

    kind = column.type.value_type if t.is_dictionary(column.type) else column.type
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind) or t.is_binary_view(kind):
        # Older writers leave text unmarked; to leave it out would look like a missing field.
        raise FileError(f"{file}: column {column.name!r} is bytes, not text; write it as text, or drop it")
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

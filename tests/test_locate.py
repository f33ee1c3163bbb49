"""The column of a value in its line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.errors import RecordError, Reject
from sftcli.parse import column_of, make_reject
from sftcli.read import LINE_TOO_LONG

Path = tuple[str | int, ...]


@pytest.mark.parametrize(
    ("line", "path", "column"),
    [
        ('{"a": 1}', (), 1),
        ('  {"a": 1}', (), 3),
        ('{"a": 1}', ("a",), 7),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b",), 15),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b", 0), 16),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b", 1, "c"), 26),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b", 1, "missing"), 20),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b", 7), 15),
        ('{"a": 1, "b": [10, {"c": null}]}', ("b", "c", "d"), 15),
        ('{"a": 1, "b": [10, {"c": null}]}', ("a", 0), 7),
        ('{"a": 1}', ("missing", "deeper"), 1),
        ("{}", ("a",), 1),
        ('{"a": []}', ("a", 0), 7),
        ('{"é日😀": "x"}', ("é日😀",), 9),
        ('{"é日😀": "日本", "b": 2}', ("b",), 20),
        ('{"\\u0061\\n": "\\"}", "b" :\t2}', ("b",), 27),
        ('{"\\u0061": 1}', ("a",), 12),
        ('{"a": 1, "a": 2}', ("a",), 15),
        ('{"a": ' + "9" * 5000 + ', "b": 1}', ("b",), 5014),
        ('{"a": 1', ("a",), 1),
        ("not json", ("a",), 1),
        ("", ("a",), 1),
        ('{"a": 1, "b', ("b",), 1),
        ('{"a": [1 2 3], "b": 1}', ("a", 1), 1),
        ("[" * 100_000, (1,), 1),
    ],
)
def test_columns(line: str, path: Path, column: int) -> None:
    assert column_of(line.encode(), path) == column


def test_a_line_that_is_not_utf8_has_column_1() -> None:
    assert column_of(b'{"a": "\xff"}', ("a",)) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=12,
)


def slow_columns(value: Any, ascii_only: bool, path: Path = (), column: int = 1) -> dict[Path, int]:
    """Where every value stands in json.dumps(value, separators=(", ", ": "))."""

    def text(part: Any) -> str:
        return json.dumps(part, ensure_ascii=ascii_only)

    found = {path: column}
    column += 1
    items = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    for key, part in items:
        column += len(text(key)) + 2 if isinstance(value, dict) else 0
        found |= slow_columns(part, ascii_only, (*path, key), column)
        column += len(text(part)) + 2
    return found


@given(VALUES, st.booleans())
def test_columns_of_all_values(value: Any, ascii_only: bool) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    expected = slow_columns(value, ascii_only)
    assert {path: column_of(raw, path) for path in expected} == expected


@given(st.binary(max_size=30) | st.text('{}[]":,a1 \\', max_size=12).map(str.encode))
def test_any_bytes_have_a_column(raw: bytes) -> None:
    assert 1 <= column_of(raw, ("a", 1)) <= max(1, len(raw))


@pytest.mark.parametrize(
    ("error", "raw", "column", "kept"),
    [
        (RecordError("c", "m", path=("a",)), b'{"a": 1}', 7, b'{"a": 1}'),
        (RecordError("c", "m", path=("a",), column=3), b'{"a": 1}', 3, b'{"a": 1}'),
        (RecordError("c", "m"), b'{"a": 1}', 1, b'{"a": 1}'),
        (RecordError("c", "m", column=1), LINE_TOO_LONG, 1, b""),
    ],
)
def test_rejects(error: RecordError, raw: bytes, column: int, kept: bytes) -> None:
    assert make_reject(error, raw, "f", 4, 100) == Reject("f", 4, column, 100, "c", "m", kept)

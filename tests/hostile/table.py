"""The hostile inputs of these tests, and what `sftcli validate` says of each, as a page.

python tests/hostile/table.py
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import files
import grammar
import lines

from sftcli.config import load_config
from sftcli.validate.settings import Settings
from sftcli.validate.validate import validate

PAGE = Path(__file__).parents[2] / "docs" / "hostile-inputs.md"
_HEAD = """# Hostile inputs

What `sftcli validate` says of each input that the tests hold against it (`tests/hostile`; made by
`python tests/hostile/table.py`). A line stands between two good ones, as the second of its file; a value as
`{"text": "a", "v": VALUE}`. Columns are code points, from 1. `prepare` refuses the
same records at the same places."""
_SHOWN = 44  # characters of an input


def page() -> str:
    """The whole page; run in an empty folder."""
    good = b'{"text": "z"}'
    accepted = [record(value) for cases in grammar.ACCEPT.values() for value, _ in cases]
    refused = [record(value) for cases in grammar.REJECT.values() for value, *_ in cases]
    taken = f"{len(accepted)} values that the grammar allows, and {len(lines.FINE)} odd lines: all are taken."
    assert all(told("a.jsonl", b"\n".join((good, line, good)), "text") == "" for line in accepted)
    parts = [_HEAD, taken]
    parts.append(
        _table(f"{len(refused)} values", ((line, "a.jsonl", good, line, "text") for line in refused))
    )
    bad = ((line, "a.jsonl", lines.GOOD[format_], line, format_) for _, format_, line, *_ in lines.LINES)
    parts.append(_table(f"{len(lines.LINES)} lines", bad))
    whole = ((name.encode(), file, None, data, "text") for name, file, data, *_ in files.FILES)
    parts.append(_table(f"{len(files.FILES)} files", whole))
    return "\n\n".join(parts) + "\n"


def record(value: bytes) -> bytes:
    return b'{"text": "a", "v": ' + value + b"}"


def _table(heading: str, cases: Iterator[tuple[bytes, str, bytes | None, bytes, str]]) -> str:
    rows = [f"## {heading}", "", "| input | what is said |", "|---|---|"]
    for shown, file, around, data, format_ in cases:
        text = data if around is None else b"\n".join((around, data, around))
        said = told(file, text, format_)
        assert said, shown
        rows.append(f"| {_cell(shown.decode('utf-8', 'backslashreplace'))} | {_cell(said, 0)} |")
    return "\n".join(rows)


def told(file: str, data: bytes, format_: str) -> str:
    """The findings of J and R in a file, each with its place; empty where there are none."""
    Path(file).write_bytes(data)
    config = load_config(None, {"inputs": [file], "record_format": format_})
    found = validate(config, Settings(select=["J", "R"], num_proc=1)).findings.kept
    os.unlink(file)
    return "; ".join(f"{one.place}: {one.code} {one.message}" for one in found)


def _cell(text: str, most: int = _SHOWN) -> str:
    """Text as a cell of Markdown that shows it literally."""
    if most and len(text) > most:
        text = text[: most - 1] + "…"
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    fence = "``" if "`" in shown else "`"
    return (
        f"{fence} {shown} {fence}".replace("|", "\\|")
        if most
        else shown.replace("|", "\\|").replace("<", "&lt;")
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        made = page()
    PAGE.write_text(made, encoding="utf-8")

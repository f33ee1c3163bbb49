"""Rows -> one HTML page that needs nothing but itself: no network, no server, no other file.

The page holds its rows packed. A token is a number into one table of token texts; what comes in
stretches (mask, turns, padding) is kept as lengths. The script of the page (`data/inspect`) unpacks
a row when it is looked at. Which characters are to be written out is decided here, by the rules of
`cells`, and the script is told where they stand. The page is ASCII, and data stands in it as JSON
alone, in which `<` is written out: whatever a row holds, the browser's parser finds no markup in it.
"""

import hashlib
import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any, TextIO

from sftcli.batch import IGNORE
from sftcli.view.cells import cells, one_line
from sftcli.view.heading import MEANING, document_fields, field_text, row_fields, weights_text
from sftcli.view.heat import BOUNDS
from sftcli.view.loss import mean_loss
from sftcli.view.row import RowView, TokenView, shown_name

_FOLDER = Path(__file__).parents[1] / "data" / "inspect"
# Joined in this order, they are the page's one script.
_SCRIPTS = tuple(
    f"{name}.js"
    for name in ("data", "text", "row", "targets", "card", "list", "reader", "search", "filter", "page")
)
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ROWS_IN_A_BLOCK = 200
_MOST_OF_FIELD = 400  # characters
_LARGEST = 2**31 - 1  # the script's arithmetic is in 32 bits


def write_html(
    rows: Iterable[RowView], out: TextIO, title: str, facts: Mapping[str, str], query: str = ""
) -> int:
    """Write the page as the rows come, and return how many there were.

    `query` is what the page's own search looks for when it opens, case as given. `facts` stand at the
    head: what the rows were made from, and how. The same rows give the same bytes, all of them ASCII. Of
    the rows only the distinct token texts are kept in memory.
    """
    head, tail = _frame(title, facts)
    shared = _Shared()
    count = 0
    coming = iter(rows)
    out.write(head)
    while block := list(islice(coming, _ROWS_IN_A_BLOCK)):
        out.write(_data('class="rows"', [_packed(row, shared) for row in block]))
        count += len(block)
    out.write(_data('id="shared"', shared.table() | ({"query": query} if query else {})))
    out.write(tail)
    return count


def query_for(texts: Sequence[str]) -> str:
    """What finds these texts with the page's own search; empty for none."""
    if len(texts) == 1 and texts[0].isprintable() and not texts[0].startswith("/"):
        return texts[0]
    parts = [re.sub(r"[.*+?^${}()|\[\]\\/]", r"\\\g<0>", text) for text in texts]
    # The field that it stands in takes no line breaks.
    joined = "|".join(parts).replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
    return f"/{joined}/" if joined else ""


class _Numbered(dict[Any, int]):
    """Things, each with a number from 0 in the order in which they are first met."""

    def __missing__(self, key: Hashable) -> int:
        self[key] = number = len(self)
        return number


class _Shared:
    """What rows have in common, and name by its number."""

    def __init__(self) -> None:
        self.tokens = _Numbered()  # (id, text, group, control)
        self.speakers = _Numbered()  # (turn, role, origin)
        self.files = _Numbered()
        self.weights = _Numbered()  # as texts
        self.codes: list[str] = []
        self.written: dict[str, list[int]] = {}  # the codes of texts that hold what is written out

    def code(self, token: TokenView) -> str:
        number = self.tokens[token.id, token.text, token.group, token.control]
        if number == len(self.codes):
            self.codes.append(_digits(number))
            if places := _written(token.text):
                self.written[self.codes[number]] = places
        return self.codes[number]

    def table(self) -> dict[str, Any]:
        entries = list(self.tokens)
        return {
            "ids": _packed_numbers(id_ for id_, _, _, _ in entries),
            "texts": [text for _, text, _, _ in entries],
            "groups": [[i, group] for i, (_, _, group, _) in enumerate(entries) if group != 1],
            "written": [[i, self.written[code]] for i, code in enumerate(self.codes) if code in self.written],
            "control": [i for i, (_, _, _, control) in enumerate(entries) if control],
            "speakers": [[turn, role and one_line(role), origin] for turn, role, origin in self.speakers],
            "heat": BOUNDS,
            "meanings": list(MEANING.items()),
            "files": [one_line(shown_name(file)) for file in self.files],
            "weights": list(self.weights),
        }


def _packed(view: RowView, shared: _Shared) -> dict[str, Any]:
    """A row; what is empty or not known is left out."""
    tokens = view.tokens
    codes = list(map(shared.code, tokens))
    row: dict[str, Any] = {
        "row": view.row,
        "tokens": "".join(codes),
        "written": "" if shared.written.keys().isdisjoint(codes) else _written_in(tokens),
        "mask": _switches(token.trained for token in tokens),
        "speakers": _packed_numbers(
            number
            for speaker, size in _stretches(tokens, lambda token: (token.turn, token.role, token.origin))
            for number in (shared.speakers[speaker], size)
        ),
        # Where a label is not what the mask says, the page must not say that it is.
        "labels": [
            [token.i, token.label]
            for token in tokens
            if token.label != (token.id if token.trained else IGNORE)
        ],
        "padding": _switches(token.padding for token in tokens) if any(t.padding for t in tokens) else "",
        "documents": list(view.documents),
        "first": (view.bounds[0][0] or None) if view.bounds else None,
        "answer": view.answer,
        "fields": _fields(row_fields(view)),
        "about": [_about(view, index, shared) for index in range(len(view.documents))]
        if view.sources or any(document_fields(view, index) for index in range(len(view.documents)))
        else [],
        "split": None if view.split is None else f"{view.split} {view.place:,}",
        "marks": list(view.marks),
        "id": None if view.id is None else one_line(view.id),
        "dropped": None if view.dropped is None else one_line(view.dropped),
    }
    if view.source is not None:
        row |= {"file": shared.files[view.source.file], "line": view.source.line}
    if any(token.weight is not None for token in tokens):
        row |= {"weights": _weights(tokens, shared), "weighed": weights_text(view)}
    if any(token.loss is not None for token in tokens):
        row |= {"losses": _packed_numbers(map(_loss, tokens)), "loss": _rounded(mean_loss(view))}
    return {name: value for name, value in row.items() if value not in (None, "", [])}


def _fields(fields: Iterable[tuple[str, object]]) -> list[list[str]]:
    return [[one_line(name), field_text(value, _MOST_OF_FIELD)] for name, value in fields]


def _about(view: RowView, index: int, shared: _Shared) -> list[Any]:
    """Where a packed document is from (its file's number and line, null where not known), and its fields."""
    source = view.sources[index] if index < len(view.sources) else None
    place = [None, None] if source is None else [shared.files[source.file], source.line]
    return [*place, _fields(document_fields(view, index))]


def _weights(tokens: Iterable[TokenView], shared: _Shared) -> str:
    return _packed_numbers(
        number
        for weight, size in _stretches(tokens, lambda token: token.weight)
        for number in (shared.weights["" if weight is None else f"{weight:g}"], size)
    )


def _written(text: str) -> list[int]:
    """Where characters are written out, in units of UTF-16, in which the page's script counts."""
    if text.isascii() and text.isprintable():
        return []
    places, at = [], 0
    for cell in cells(text):
        if cell.kind != "escape":
            at += _units(cell.text)
        else:
            if cell.text != r"\x23":  # `##[...]` is a command to CI systems, not to a browser
                places.append(at)
            at += 2 if cell.text.startswith("\\U") else 1
    return places


def _units(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)


def _written_in(tokens: Iterable[TokenView]) -> str:
    """As `_written`, in a row: there an accent may stand on what the token before ends in.

    The first place, then the distances from one to the next.
    """
    places, at = [0], 0
    for _, same in groupby(tokens, lambda t: (t.control and t.i, t.trained, t.turn, t.role)):
        text = "".join(token.text for token in same)
        places += [at + place for place in _written(text)]
        at += _units(text)
    return _packed_numbers(after - before for before, after in pairwise(places))


def _loss(token: TokenView) -> int:
    """0: none; 1: not a finite number; else two more than its thousandths."""
    if token.loss is None:
        return 0
    if not math.isfinite(token.loss):
        return 1
    return min(max(round(token.loss * 1000), 0) + 2, _LARGEST)


def _rounded(mean: float | None) -> float | None:
    return None if mean is None or not math.isfinite(mean) else round(mean, 4)


def _switches(flags: Iterable[bool]) -> str:
    """The lengths of the stretches of false and true in turn; the first is of false, if of length 0."""
    stretches = [(flag, sum(1 for _ in same)) for flag, same in groupby(flags)]
    lengths = [length for _, length in stretches]
    return _packed_numbers([0, *lengths] if stretches and stretches[0][0] else lengths)


def _stretches(
    tokens: Iterable[TokenView], key: Callable[[TokenView], Hashable]
) -> Iterator[tuple[Hashable, int]]:
    for value, same in groupby(tokens, key):
        yield value, sum(1 for _ in same)


def _packed_numbers(numbers: Iterable[int]) -> str:
    return "".join(map(_digits, numbers))


def _digits(number: int) -> str:
    """A number from 0, five bits to a digit from the lowest up; 32 is added where more digits follow."""
    digits = ""
    while number >= 32:
        digits += _DIGITS[number & 31 | 32]
        number >>= 5
    return digits + _DIGITS[number]


def _data(attribute: str, value: object) -> str:
    # In ASCII, U+2028 and everything that could mislead a reader of the source are written out.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" {attribute}>{text}</script>\n'


def _frame(title: str, facts: Mapping[str, str]) -> tuple[str, str]:
    """The page before its data and after it."""
    page = (_FOLDER / "page.html").read_text(encoding="ascii")
    style = (_FOLDER / "page.css").read_text(encoding="ascii")
    script = "".join((_FOLDER / name).read_text(encoding="ascii") for name in _SCRIPTS)
    listed = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(fact)}</dd></div>" for name, fact in facts.items()
    )
    parts = {"policy": _policy(script, style), "title": _text(title), "style": style, "facts": listed}
    head, tail = page.split("{{rows}}\n")
    # In one pass: a title may spell `{{facts}}`.
    return re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], head), tail.replace("{{script}}", script)


def _text(text: str) -> str:
    return escape(one_line(text)).encode("ascii", "xmlcharrefreplace").decode()


def _policy(script: str, style: str) -> str:
    """Nothing may be fetched, no other script or style may run, and no text may become markup."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""RowView -> the object that `inspect --format json` prints, one per row."""

import math
from typing import Any

from sftcli.view.row import RowView, Source, TokenView


def row_json(view: RowView, *, measured: bool = False) -> dict[str, Any]:
    """Plain data; null where a fact is not known.

    Rows that were packed into this one and where they came from, the place where an answer begins that
    is a list of its own, what went along with the record, padding, loss weights, and losses (where they
    were `measured`) have keys of their own, which are left out where there is none; so have the split of
    a folder of several, and the row's number in it.
    """
    source = view.source
    found: dict[str, Any] = {
        "row": view.row,
        "id": view.id,
        "source": _source_json(source) if source else None,
        "dropped": view.dropped,
        "marks": list(view.marks),
        "tokens": [_token_json(token, measured) for token in view.tokens],
        "counts": {"tokens": view.counts.tokens, "trained": view.counts.trained},
    }
    if view.split is not None:
        found |= {"split": view.split, "row_in_split": view.place}
    if view.documents:
        found["documents"] = list(view.documents)
    if view.sources:
        found["sources"] = [_source_json(source) for source in view.sources]
    if view.answer is not None:
        found["answer"] = view.answer
    if view.fields:
        found["fields"] = {name: _finite(value) for name, value in view.fields}
    return found


def _source_json(source: Source) -> dict[str, Any]:
    return {"file": source.file, "line": source.line}


def _finite(value: object) -> object:
    """JSON has no infinity; a kept field of a folder may have been written by anyone."""
    if isinstance(value, tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _token_json(token: TokenView, measured: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "i": token.i,
        "id": token.id,
        "text": token.text,
        "label": token.label,
        "trained": token.trained,
        "origin": token.origin,
        "turn": token.turn,
        "role": token.role,
    }
    if token.padding:
        found["padding"] = True
    if token.weight is not None:
        found["weight"] = token.weight if math.isfinite(token.weight) else None
    if measured:
        # A model may give infinity, which JSON does not have.
        finite = token.loss is not None and math.isfinite(token.loss)
        found["loss"] = token.loss if finite else None
    return found

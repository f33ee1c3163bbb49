"""RowView -> the object that `inspect --format json` prints, one per row."""

import math
from typing import Any

from sftcli.view.row import RowView, TokenView


def row_json(view: RowView, *, measured: bool = False) -> dict[str, Any]:
    """Plain data; null where a fact is not known.

    Rows that were packed into this one, padding, loss weights, and losses (where they were `measured`)
    have keys of their own, which are left out where there is none.
    """
    source = view.source
    found: dict[str, Any] = {
        "row": view.row,
        "id": view.id,
        "source": {"file": source.file, "line": source.line} if source else None,
        "dropped": view.dropped,
        "marks": list(view.marks),
        "tokens": [_token_json(token, measured) for token in view.tokens],
        "counts": {"tokens": view.counts.tokens, "trained": view.counts.trained},
    }
    if view.documents:
        found["documents"] = list(view.documents)
    return found


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
        found["weight"] = token.weight
    if measured:
        # A model may give infinity, which JSON does not have.
        finite = token.loss is not None and math.isfinite(token.loss)
        found["loss"] = token.loss if finite else None
    return found

"""RowView -> the object that `inspect --format json` prints, one per row."""

from typing import Any

from sftcli.view.row import RowView


def row_json(view: RowView) -> dict[str, Any]:
    """Plain data; null where a fact is not known."""
    source = view.source
    return {
        "row": view.row,
        "source": {"file": source.file, "line": source.line} if source else None,
        "tokens": [
            {
                "i": token.i,
                "id": token.id,
                "text": token.text,
                "label": token.label,
                "trained": token.trained,
                "origin": token.origin,
                "turn": token.turn,
                "role": token.role,
            }
            for token in view.tokens
        ],
        "counts": {"tokens": view.counts.tokens, "trained": view.counts.trained},
    }

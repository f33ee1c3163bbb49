"""What the head of a page says of a source: where its rows are from, and how they are made."""

from collections.abc import Sequence

from sftcli.view.row import shown_name

_NAMED = 3  # inputs
_TURNS = {"assistant": "assistant turns", "last": "the last assistant turn", "all": "all text"}
_ENDS = {
    "turn": "terminator of each trained turn",
    "last": "terminator of the last trained turn",
    "none": "no terminator",
    "all": "terminator of every turn",
}


def facts_of(
    source: Sequence[str],
    template: object,
    records: object,
    tokenizer: object,
    trained: object,
    ended: object,
) -> dict[str, str]:
    """Each fact by its name; of many inputs the first ones are named.

    `trained` and `ended` are a MaskPolicy's `train_on` and `train_on_eos`.
    """
    more = f" and {len(source) - _NAMED:,} more" if len(source) > _NAMED else ""
    return {
        "source": ", ".join(map(shown_name, source[:_NAMED])) + more,
        "template": str(template),
        "records": str(records),
        "tokenizer": str(tokenizer),
        "trained": f"{_TURNS.get(str(trained), trained)}, {_ENDS.get(str(ended), ended)}",
    }

"""What the head of a page says of a source: where its rows are from, and how they are made."""

from collections.abc import Sequence

from sftcli.config import Config
from sftcli.view.row import shown_name

_NAMED = 3  # inputs
_TURNS = {"assistant": "assistant turns", "last": "the last assistant turn", "all": "all text"}
_ENDS = {
    "turn": "terminator of each trained turn",
    "last": "terminator of the last trained turn",
    "none": "no terminator",
    "all": "terminator of every turn",
}
_LAYOUTS = {
    "shifted": "shifted: labels are stored one place before their tokens",
    "seq2seq": "seq2seq: what is answered, apart from what is read",
    "steps": "steps: one row for each trained token",
}
_PACKED = {"bfd": "whole records, in rows", "wrapped": "records joined and cut, into rows"}


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


def shape_of(config: Config) -> dict[str, str]:
    """What was made of the rows, as far as it is not as by default."""
    found = {}
    if config.layout in _LAYOUTS:
        found["layout"] = _LAYOUTS[config.layout]
    if config.packing in _PACKED:
        found["packed"] = f"{_PACKED[config.packing]} of {config.max_length or 0:,} tokens"
    if config.pad == "max-length":
        found["padded"] = f"on the {config.padding_side}, to {config.max_length or 0:,} tokens"
    elif config.pad != "none":
        found["padded"] = (
            f"on the {config.padding_side}, to a {config.pad.replace('-', ' ').replace(':', ' ')}"
        )
    return found | weights_of(config)


def weights_of(config: Config) -> dict[str, str]:
    """The loss weights of roles, where there are any."""
    if not config.loss_weight:
        return {}
    return {"loss weights": ", ".join(f"{role} {weight:g}" for role, weight in config.loss_weight.items())}

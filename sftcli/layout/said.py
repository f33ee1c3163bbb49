"""What a dataset card says of the columns."""

from collections.abc import Mapping

from sftcli.layout.layout import Layout

_LABELS = {
    "causal": "the token's id where it is trained, else -100; in the place of the token, not shifted",
    "shifted": "the id of the next token where that is trained, else -100; do not shift them again",
    "seq2seq": "the last answer of the record",
    "steps": "the one token that follows `input_ids`",
}
_LEARNT = {
    "causal": "1 where the token is trained, else 0",
    "shifted": "1 where the next token is trained, else 0",
    "seq2seq": "1 for each token of the answer",
    "steps": "1",
}
_TEXTS = {
    "input_ids": "what the model reads",
    "attention_mask": "1 for tokens, 0 for padding",
    "loss_weights": "the weight of each label in the loss, 0 where there is none",
    "position_ids": "the place of each token in its document, from 0",
    "seq_lengths": "how many tokens each document of the row has",
    "seq_start_id": "where each document of the row begins",
    "turn_ids": "the message of each token, from 0; -1 for template text of none, and for padding",
    "length": "how many tokens `input_ids` has, without padding",
    "source": "the file and line of the record",
}


def columns_said(layout: Layout) -> list[str]:
    """A line of Markdown for each column: its name, its type, and what stands in it."""
    own: Mapping[str, str] = {
        **_TEXTS,
        "labels": _LABELS[layout.kind],
        "loss_mask": _LEARNT[layout.kind],
        **dict.fromkeys(layout.kept, "the field of this name of the record"),
    }
    return [
        f"- `{name}` ({_type(str(layout.schema.field(name).type))}): {own[name]}" for name in layout.names
    ]


def _type(arrow: str) -> str:
    return arrow.replace("item: ", "").replace("element: ", "")

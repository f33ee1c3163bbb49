"""Rows for the pages: a few whose every token stands here, and many from real records."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

from conftest import CONFIGS, EXAMPLES

from sftcli.config import load_config
from sftcli.view.raw import RawData
from sftcli.view.row import Origin, RowView, Source, TokenView
from sftcli.view.select import Search, Selection

CONTROL = ("<|start|>", "<|end|>", "<|pad|>")


def row(number: int, *pieces: tuple[object, ...], **options: object) -> RowView:
    """A row from (role, text, text, ...): each text is a token, and a role's number is its turn.

    What an assistant says is trained, from its second token on. Token i has the id 100 + i.
    """
    tokens: list[TokenView] = []
    for turn, (role, *texts) in enumerate(pieces):
        for place, text in enumerate(texts):
            i = len(tokens)
            trained = role == "assistant" and place > 0
            origin: Origin = "template" if place == 0 or text in CONTROL else "content"
            label = 100 + i if trained else -100
            assert isinstance(text, str)
            tokens.append(
                TokenView(i, 100 + i, text, label, trained, text in CONTROL, origin, turn, str(role))
            )
    return RowView(number, Source("talk.jsonl", number + 1), tuple(tokens), **options)  # type: ignore[arg-type]


def talks() -> list[RowView]:
    """Four rows: (tokens, trained) are (10, 4), (6, 2), (16, 6) and (3, 0)."""
    hello = row(
        0,
        ("user", "<|start|>", "What", " is", " up", "?"),
        ("assistant", "<|start|>", "Not", " much", ".", "<|end|>"),
        id="first",
    )
    short = row(1, ("user", "<|start|>", "2+2", "="), ("assistant", "<|start|>", "4", "<|end|>"))
    long = row(
        2,
        ("system", "<|start|>", "Be", " brief", ".\n"),
        ("user", "<|start|>", "Capital", " of", " France", "?"),
        ("assistant", "A:", "Paris", ",", " what", " else", "?", "<|end|>"),
        marks=("straddle",),
    )
    silent = row(
        3, ("user", "<|start|>", "Is", "!"), marks=("zero-trained", "straddle"), dropped="no_trained_tokens"
    )
    return [hello, short, long, silent]


def with_losses(view: RowView) -> RowView:
    """Token i has the loss i / 4, and the first has none."""
    tokens = (replace(token, loss=token.i / 4 if token.i else None) for token in view.tokens)
    return replace(view, tokens=tuple(tokens))


def raw_rows(number: int, **options: object) -> list[RowView]:
    """The first rows of raw data, as `inspect` shows them."""
    data = RawData(load_config(None, options))
    return [data.view(item) for item in Search(data, Selection(span=(0, number))).items()]


def problems(shared: Path | None, number: int) -> list[RowView]:
    """Grade-school problems: with Llama 3's tokenizer where there is one, else the bundled ones, repeated."""
    options: dict[str, object] = {"inputs": [str(EXAMPLES / "gsm8k.jsonl")], "tokenizer": "demo"}
    if shared:
        options = {
            "inputs": [str(shared / "data" / "gsm8k.jsonl")],
            "tokenizer": str(shared / "tokenizers" / "llama3"),
        }
    there = number if shared else min(number, 200)
    views = raw_rows(there, template=str(CONFIGS / "templates" / "qa.yaml"), **options)
    return [replace(views[at % there], row=at) for at in range(number)]


def chats() -> list[RowView]:
    """The bundled conversations: emoji, Chinese, control tokens spelt in the data."""
    return raw_rows(8, inputs=[str(EXAMPLES / "chat.jsonl")], tokenizer="demo", template="chatml")


def lengthened(views: Iterable[RowView], size: int) -> list[RowView]:
    """Rows of `size` tokens, each of the given ones one after the other, from another one on."""
    given = list(views)
    made = []
    for number, view in enumerate(given):
        tokens: list[TokenView] = []
        for at in count(number):
            if len(tokens) >= size:
                break
            tokens += given[at % len(given)].tokens
        made.append(replace(view, tokens=tuple(replace(t, i=i) for i, t in enumerate(tokens[:size]))))
    return made

"""What a tokenizer.json may not say: a stranger wrote it, and its ids and texts end up in masks.

The library takes nearly all of it. It gives a token another id than the file says, lets an ordinary
piece share its id with a control token, and makes gigabytes of a letter where the file asks for that.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from math import prod

import tokenizers

from sftcli.errors import TokenizerError
from sftcli.tokenizer_json import PipelinePart, TokenizerJson

MAX_SIZE = 1 << 24  # rows of an embedding; the largest vocabularies have a sixteenth of that
MAX_TEXT = 1_000  # characters of an added token; more takes the library seconds each
MAX_PARTS = 200  # normalizers and the like
MAX_GROWTH = 1_000  # characters that normalizers make of one


@contextmanager
def panics_told() -> Iterator[None]:
    """Makes a panic of the library's a TokenizerError: such as of a regex that takes time without end."""
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":  # which no module offers by name
            raise
        raise TokenizerError(
            f"the tokenizers library cannot use this tokenizer.json: {problem}; mend what it names, or "
            "take another"
        ) from None


def check_layout(layout: TokenizerJson, name: str) -> None:
    """Raise TokenizerError for what a file says that cannot be meant."""
    reason = _wrong_ids(layout) or _wrong_added(layout) or _wrong_parts(layout)
    if reason:
        raise TokenizerError(f"{name}: tokenizer.json {reason}")


def check_loaded(loaded: tokenizers.Tokenizer, layout: TokenizerJson, name: str) -> None:
    """Raise TokenizerError where the library understands the file otherwise than it says."""
    for token in layout.added_tokens:
        found = loaded.token_to_id(token.content)
        if found != token.id:
            raise TokenizerError(
                f"{name}: tokenizer.json gives {token.content!r} the id {token.id}, and the tokenizers "
                f"library gives it {found}, as it knows of no gaps; load and save it with transformers once"
            )
    if layout.model.type == "BPE" and not layout.model.ignore_merges:  # of others engine renames these
        refuse_spelled(loaded, (text for text in layout.control_tokens if text in layout.model.vocab), name)


def refuse_spelled(loaded: tokenizers.Tokenizer, tokens: Iterable[str], name: str) -> None:
    """A piece of the vocabulary that ordinary text is made of cannot be a control token too."""
    for text in tokens:
        if loaded.token_to_id(text) in _tokens_in(loaded, text):
            raise TokenizerError(
                f"special token {text!r}: is an ordinary token of {name!r}, which any text can "
                "spell; take one that is not in its vocabulary"
            )


def _tokens_in(loaded: tokenizers.Tokenizer, text: str) -> list[int]:
    """The ids of text in which no control token is read."""
    loaded.encode_special_tokens = True
    with panics_told():
        ids = loaded.encode(text, add_special_tokens=False).ids
    loaded.encode_special_tokens = False
    return list(ids)


def _wrong_ids(layout: TokenizerJson) -> str | None:
    vocab = layout.model.vocab
    ids = set(vocab.values()) if isinstance(vocab, dict) else set(range(len(vocab)))
    added = [token.id for token in layout.added_tokens]
    if min(chain(ids, added), default=0) < 0:
        return f"gives a token the id {min(chain(ids, added))}; ids are counted from 0"
    if layout.size > MAX_SIZE:
        return f"gives a token the id {layout.size - 1}; no embedding has over {MAX_SIZE:,} rows"
    if len(ids) < len(vocab) and isinstance(vocab, dict):
        first: dict[int, str] = {}
        text, other = next((t, first[i]) for t, i in vocab.items() if first.setdefault(i, t) != t)
        return f"gives both {other[:80]!r} and {text[:80]!r} the id {vocab[text]}"
    taken: dict[int, str] = {}
    for token in layout.added_tokens:
        own = vocab.get(token.content) if isinstance(vocab, dict) else None
        other = taken.setdefault(token.id, token.content)
        if other == token.content and token.id in ids and own != token.id:
            other = layout.texts_of_model[token.id]
        if other != token.content:
            return f"gives both {other[:80]!r} and {token.content[:80]!r} the id {token.id}"
    return None


def _wrong_added(layout: TokenizerJson) -> str | None:
    seen = set()
    for token in layout.added_tokens:
        if not token.content:
            return f"has an added token without text (id {token.id})"
        if len(token.content) > MAX_TEXT:
            return (
                f"has an added token of {len(token.content):,} characters (id {token.id}); over "
                f"{MAX_TEXT:,} are not read"
            )
        if token.content in seen:
            return f"has the added token {token.content!r} twice"
        seen.add(token.content)
    return None


def _wrong_parts(layout: TokenizerJson) -> str | None:
    if layout.model.dropout:
        return (
            f"has a dropout of {layout.model.dropout:g}, with which a text has other tokens in every run; "
            "set model.dropout to null in it"
        )
    try:
        tops = (layout.normalizer, layout.pre_tokenizer, layout.post_processor)
        parts = [part for top in tops if top for part in top.flat()]
    except RecursionError:
        return "nests its normalizers or the like too deeply"
    if len(parts) > MAX_PARTS:
        return f"has {len(parts):,} normalizers and the like; over {MAX_PARTS} are not read"
    growth = prod(max(1, len(part.content)) for part in parts) + sum(len(part.prepend) for part in parts)
    if growth > MAX_GROWTH:
        return f"has normalizers that may make {growth:,} characters of one; over {MAX_GROWTH:,} are not read"
    if any(_loses_text(part) for part in parts):
        return "has a post-processor that leaves the text out, or has it twice"
    return None


def _loses_text(part: PipelinePart) -> bool:
    if part.type != "TemplateProcessing":
        return False
    return [piece for piece in part.single if "Sequence" in piece] != [
        {"Sequence": {"id": "A", "type_id": 0}}
    ]

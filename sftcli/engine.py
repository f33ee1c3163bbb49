"""Engines: texts -> token ids with the bytes that each token covers. Control tokens are off."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from sftcli.errors import InternalError, TokenizerError
from sftcli.fastload import begin_loading
from sftcli.tokenizer import Tokenizer
from sftcli.tokenizer_checks import panics_told

if TYPE_CHECKING:
    import fastokens

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """N texts, T tokens. ids: int32[T]. ends: int64[N], one past each text's last token.

    lengths, stops: int32[T], or int64[T] where the texts are very long: the size of each token in
    bytes, and where it stops in the UTF-8 of all texts laid end to end. Neither starts nor stops ever
    fall. Tokens that share a character (split emoji) may all claim the whole of it.
    """

    ids: npt.NDArray[np.int32]
    ends: Ints
    lengths: Places
    stops: Places

    def starts(self, tokens: Ints | slice = slice(None)) -> Ints:
        """int64: where each of the tokens starts."""
        return (self.stops[tokens] - self.lengths[tokens]).astype(np.int64)


class Engine(Protocol):
    name: str

    def encode(self, texts: Sequence[str], sizes: Ints, leading: npt.NDArray[np.bool_]) -> Encoded:
        """Encode each text by itself, as ordinary text.

        sizes: int64[N], the texts' UTF-8 bytes. leading: bool[N], true where nothing stands
        before the text in its row (some tokenizers mark the very start).
        """


# Texts of so many bytes have places of 32 bits, also where they are longer once they are normalized.
_SMALL = 1 << 29
# Stands for "a control token was here" where a tokenizer treats the start of a text differently.
_SENTINEL = "\U000f5f7c\U000f5f7d"


class ReferenceEngine:
    """The `tokenizers` library: handles every tokenizer, and knows offsets."""

    name = "tokenizers"

    def __init__(self, tokenizer: Tokenizer) -> None:
        import tokenizers

        self._whole = self._tokenizer = tokenizer.reference
        self._lost = frozenset(b"" if tokenizer.layout.model.unk_token else tokenizer.layout.missing_bytes)
        self._start_matters = self._is_start_special(tokenizer)
        self._renames = tokenizer.layout.spells_control
        if self._renames:
            self._tokenizer = tokenizers.Tokenizer.from_str(_with_control_renamed(tokenizer))
        elif self._start_matters or tokenizer.layout.trims_offsets:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer.reference.to_str())
        if self._tokenizer is not self._whole:
            self._tokenizer.post_processor = tokenizers.processors.Sequence([])
        if self._start_matters:
            self._tokenizer.add_tokens([tokenizers.AddedToken(_SENTINEL, normalized=False)])
        self._tokenizer.encode_special_tokens = True

    def _is_start_special(self, tokenizer: Tokenizer) -> bool:
        """Whether text after a control token is tokenized otherwise than text at the start."""
        plain = [
            t.content
            for t in tokenizer.control_tokens.values()
            if not (t.lstrip or t.rstrip or t.single_word)
        ]
        if not plain:
            return False
        self._whole.encode_special_tokens = False
        with panics_told():
            alone = self._whole.encode("a b", add_special_tokens=False).ids
            after = self._whole.encode(plain[0] + "a b", add_special_tokens=False).ids
        return after[1:] != alone

    def encode(self, texts: Sequence[str], sizes: Ints, leading: npt.NDArray[np.bool_]) -> Encoded:
        skip = 0
        if self._lost:
            self._refuse_lost_bytes(texts)
        if (self._start_matters or self._renames) and any(_SENTINEL in text for text in texts):
            raise TokenizerError(f"a text holds the reserved character pair {_SENTINEL!a}")
        if self._start_matters:
            skip = len(_SENTINEL)
            texts = [text if lead else _SENTINEL + text for text, lead in zip(texts, leading, strict=True)]
        with panics_told():
            found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ids: list[npt.NDArray[np.int32]] = []
        spans: list[Ints] = []
        base = np.cumsum(sizes) - sizes
        for given, encoding, lead, start in zip(texts, found, leading, base, strict=True):
            row = np.array(encoding.ids, np.int32)
            span = np.array(encoding.offsets, np.int64).reshape(-1, 2)
            text = given
            if skip and not lead:
                row, span, text = row[1:], span[1:] - skip, given[skip:]
            if not text.isascii():
                span = _byte_places(text)[span]
            ids.append(row)
            spans.append(span + start)
        ends = np.cumsum([len(row) for row in ids], dtype=np.int64)
        flat = np.concatenate(spans) if spans else np.zeros((0, 2), np.int64)
        stops = np.maximum.accumulate(flat[:, 1])
        return Encoded(
            ids=np.concatenate(ids) if ids else np.zeros(0, np.int32),
            ends=ends,
            lengths=stops - flat[:, 0],
            stops=stops,
        )

    def _refuse_lost_bytes(self, texts: Sequence[str]) -> None:
        """Refuse text that the library would shorten without a word, with wrong offsets after it."""
        for text in texts:
            if not self._lost.isdisjoint(text.encode()):
                char = next(char for char in text if not self._lost.isdisjoint(char.encode()))
                raise TokenizerError(
                    f"the tokenizer has no token for {char!r} and would drop it from {text[:80]!r}; "
                    "train it with all 256 bytes in its alphabet, or give it an unk token"
                )

    def one_shot(self, text: str) -> list[int]:
        """The ids of a whole text in which control tokens are read as such."""
        self._whole.encode_special_tokens = False
        with panics_told():
            ids = self._whole.encode(text, add_special_tokens=False).ids
        self._tokenizer.encode_special_tokens = True  # it may be the same tokenizer
        return list(ids)


def _with_control_renamed(tokenizer: Tokenizer) -> str:
    """The tokenizer.json with its control tokens under names that no text holds.

    Ids stay as they are, so text is tokenized as before, only that no text spells a control token.
    """
    layout = json.loads(tokenizer.saved_files()["tokenizer.json"])
    names = {text: f"{_SENTINEL}{token.id}" for text, token in tokenizer.control_tokens.items()}
    model = layout["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(text, text): token_id for text, token_id in model["vocab"].items()}
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    else:
        model["vocab"] = [(names.get(text, text), score) for text, score in model["vocab"]]
    for token in layout["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    return json.dumps({**layout, "post_processor": None, "truncation": None, "padding": None})


class FastEngine:
    """fastokens: the same ids many times faster; offsets follow from the byte length of each token.

    Where normalization changed a text, `reference` is asked for its offsets. `loaded` is the
    tokenizer as fastokens has it. Raises ValueError where fastokens does not support it.
    """

    name = "fastokens"

    def __init__(
        self,
        tokenizer: Tokenizer,
        reference: ReferenceEngine | None = None,
        loaded: "fastokens.Tokenizer | None" = None,
    ) -> None:
        self._tokenizer = loaded if loaded is not None else begin_loading(tokenizer.json).result()
        self._byte_lengths = tokenizer.layout.byte_lengths.astype(np.int32)
        self._nfc = tokenizer.layout.normalizes_nfc
        self.reference = reference

    def encode(self, texts: Sequence[str], sizes: Ints, leading: npt.NDArray[np.bool_]) -> Encoded:
        raw_ids, raw_ends = self._tokenizer.encode_batch_flat(list(texts), split_special_tokens=True)
        ids = np.frombuffer(raw_ids, np.int32)
        ends = np.frombuffer(raw_ends, np.int64)[1:]
        lengths = self._byte_lengths.take(ids)  # twice as fast as indexing
        # A record may be tens of megabytes of text: every byte for a token counts.
        stops: Places = np.cumsum(lengths, dtype=np.int32 if sizes.sum() < _SMALL else np.int64)
        encoded = Encoded(ids, ends, lengths, stops)
        wrong = np.diff(stops[ends - 1], prepend=0) != sizes
        if self._nfc:
            wrong |= np.array([not unicodedata.is_normalized("NFC", text) for text in texts], np.bool_)
        return self._patched(texts, sizes, encoded, wrong) if wrong.any() else encoded

    def _patched(
        self, texts: Sequence[str], sizes: Ints, encoded: Encoded, wrong: npt.NDArray[np.bool_]
    ) -> Encoded:
        """Take the reference's offsets for the texts that were normalized on the way."""
        if self.reference is None:
            raise InternalError("the fast engine was given no reference to ask for offsets")
        ids, ends = encoded.ids, encoded.ends
        counts = np.diff(ends, prepend=0)
        bases = np.cumsum(sizes) - sizes
        # Each text's tokens are counted from its own first byte again, so that a wrong text does
        # not move its neighbours.
        drift = np.repeat(bases - encoded.starts(ends - counts), counts)
        starts, stops = encoded.starts() + drift, encoded.stops + drift
        for index in np.flatnonzero(wrong).tolist():
            one = self.reference.encode([texts[index]], sizes[index : index + 1], np.zeros(1, np.bool_))
            part = slice(int(ends[index] - counts[index]), int(ends[index]))
            if not np.array_equal(one.ids, ids[part]):
                raise TokenizerError(
                    f"the two engines differ on {texts[index][:80]!r}; use --encoder tokenizers"
                )
            starts[part], stops[part] = one.starts() + bases[index], one.stops + bases[index]
        return Encoded(ids, ends, stops - starts, stops)


def _byte_places(text: str) -> Ints:
    """int64[len(text) + 1]: the UTF-8 byte at which each character starts."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    width = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(width)))


def fast_engine_refusal(tokenizer: Tokenizer) -> str | None:
    """Why this tokenizer needs the reference engine, or None where the fast one will do."""
    if not tokenizer.layout.is_byte_level:
        return "not a byte-level BPE"
    for token in tokenizer.layout.added_tokens:
        normalized = token.normalized and tokenizer.layout.normalizer is not None
        if not token.special and (token.lstrip or token.rstrip or token.single_word or normalized):
            return f"added token {token.content!r} is matched by more than its text"
    return None

"""A tokenizer.json: what each of its tokens stands for, and how it must be handled.

Only the parts that decide these are read.
"""

from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sftcli.errors import InternalError


class AddedToken(msgspec.Struct):
    """A token outside the model's own vocabulary; `special` ones are control tokens."""

    id: int
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


class PipelinePart(msgspec.Struct):
    """A normalizer, pre-tokenizer or post-processor: its type and, for a sequence, what is inside.

    `content` is what a Replace puts in the place of what it finds, `prepend` what stands before a text,
    `single` how a TemplateProcessing lays out one text.
    """

    type: str
    content: str = ""
    prepend: str = ""
    single: list[dict[str, Any]] = []
    add_prefix_space: bool = False
    trim_offsets: bool = False
    processors: "list[PipelinePart]" = []
    pretokenizers: "list[PipelinePart]" = []
    normalizers: "list[PipelinePart]" = []

    def flat(self) -> "list[PipelinePart]":
        inner = [*self.pretokenizers, *self.normalizers, *self.processors]
        return [self, *(leaf for part in inner for leaf in part.flat())]


class Model(msgspec.Struct):
    """The vocabulary; Unigram models have it as a list of (token, score)."""

    type: str = "BPE"
    vocab: dict[str, int] | list[tuple[str, float]] = {}
    unk_token: str | None = None
    ignore_merges: bool = False
    dropout: float | None = None


class TokenizerJson(msgspec.Struct, dict=True):
    """The whole file. `dict` is for what is worked out once."""

    model: Model
    added_tokens: list[AddedToken] = []
    normalizer: PipelinePart | None = None
    pre_tokenizer: PipelinePart | None = None
    post_processor: PipelinePart | None = None

    @cached_property
    def control_tokens(self) -> dict[str, AddedToken]:
        """The tokens that only a template may write, by their text."""
        return {token.content: token for token in self.added_tokens if token.special}

    @cached_property
    def size(self) -> int:
        """One more than the largest id."""
        vocab = self.model.vocab
        top = max(vocab.values(), default=-1) if isinstance(vocab, dict) else len(vocab) - 1
        return max([top, *(token.id for token in self.added_tokens)]) + 1

    @cached_property
    def texts(self) -> dict[int, str]:
        """Each token as the vocabulary spells it, by its id."""
        return self.texts_of_model | {token.id: token.content for token in self.added_tokens}

    @property
    def texts_of_model(self) -> dict[int, str]:
        """The same without the added tokens."""
        vocab = self.model.vocab
        pairs = vocab.items() if isinstance(vocab, dict) else ((entry[0], i) for i, entry in enumerate(vocab))
        return {token_id: text for text, token_id in pairs}

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one id stands for in running text; none where no token has this id."""
        text = self.texts.get(token_id)
        if text is None:
            return b""
        if token_id in self._added_ids:
            return text.encode()
        if self.spells_bytes:
            return bytes(_BYTE_OF_CHAR[char] for char in text)
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            return bytes.fromhex(text[3:5])
        return text.replace("\u2581", " ").encode()

    @cached_property
    def _added_ids(self) -> frozenset[int]:
        return frozenset(token.id for token in self.added_tokens)

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """int64[size]: the UTF-8 bytes that each id stands for (byte-level tokenizers only)."""
        lengths = np.zeros(self.size, np.int64)
        vocab = self.model.vocab
        if not isinstance(vocab, dict):
            raise InternalError("byte lengths are asked of a tokenizer that is not byte-level")
        ids = np.fromiter(vocab.values(), np.int64, len(vocab))
        lengths[ids] = np.fromiter(map(len, vocab), np.int64, len(vocab))
        for token in self.added_tokens:
            lengths[token.id] = len(token.content.encode())
        return lengths

    @cached_property
    def spells_bytes(self) -> bool:
        """Whether its tokens are written in GPT-2's alphabet for bytes."""
        added = "".join(token.content for token in self.added_tokens)
        return (
            isinstance(self.model.vocab, dict)
            and self.model.type == "BPE"
            and any(part.type == "ByteLevel" for part in self._pre_tokenizers)
            and set("".join(self.model.vocab)) <= _BYTE_OF_CHAR.keys() | set(added)
        )

    @cached_property
    def missing_bytes(self) -> bytes:
        """The bytes that no token stands for, of a vocabulary that was trained without them."""
        if not self.spells_bytes:
            return b""
        return bytes(byte for char, byte in _BYTE_OF_CHAR.items() if char not in self.model.vocab)

    @cached_property
    def is_byte_level(self) -> bool:
        """Whether every token is a fixed string of bytes, so that byte counts give offsets."""
        return (
            self.spells_bytes
            and not self.missing_bytes
            and not any(part.add_prefix_space for part in self._pre_tokenizers)
            and (self.normalizer is None or self.normalizes_nfc)
        )

    @property
    def _pre_tokenizers(self) -> list[PipelinePart]:
        return self.pre_tokenizer.flat() if self.pre_tokenizer else []

    @property
    def spells_control(self) -> bool:
        """Whether ordinary text can become a control token, as the model's vocabulary has its text.

        A BPE makes tokens by its merges alone, of which control tokens have none.
        """
        model = self.model
        if model.type == "BPE" and not model.ignore_merges:
            return False
        texts = model.vocab if isinstance(model.vocab, dict) else [text for text, _ in model.vocab]
        return not self.control_tokens.keys().isdisjoint(texts)

    @property
    def trims_offsets(self) -> bool:
        """Whether the offsets it reports leave out white space that the token holds."""
        return self.post_processor is not None and any(
            part.trim_offsets for part in self.post_processor.flat()
        )

    @property
    def normalizes_nfc(self) -> bool:
        return self.normalizer is not None and {part.type for part in self.normalizer.flat()} <= {
            "NFC",
            "Sequence",
        }


def _byte_of_char() -> dict[str, int]:
    """GPT-2's alphabet for bytes: printable bytes stand for themselves, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_BYTE_OF_CHAR = _byte_of_char()

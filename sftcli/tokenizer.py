"""A tokenizer as data: its files, its special tokens, and what each token stands for in bytes."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import tokenizers

from sftcli.errors import InternalError, TokenizerError
from sftcli.tokenizer_files import find_files
from sftcli.tokenizer_json import AddedToken, PipelinePart, TokenizerJson

SPECIAL_NAMES = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")


@dataclass(frozen=True)
class Tokenizer:
    """One tokenizer, loaded. `files` are its files by name; `specials` maps bos, eos, ... to text.

    `added` are the (text, id) pairs that sftcli added to it, in order of their ids.
    """

    name: str
    files: dict[str, bytes]
    config: dict[str, Any]
    specials: dict[str, str | None]
    added: tuple[tuple[str, int], ...] = ()
    extended: tokenizers.Tokenizer | None = None

    @cached_property
    def reference(self) -> tokenizers.Tokenizer:
        """The tokenizer as the `tokenizers` library has it. Raises TokenizerError if it cannot."""
        if self.extended is not None:
            return self.extended
        try:
            loaded = tokenizers.Tokenizer.from_buffer(self.files["tokenizer.json"])
        except Exception as problem:  # the library raises bare Exception and ValueError
            raise TokenizerError(f"{self.name}: tokenizer.json cannot be read: {problem}") from None
        # A baked-in truncation or padding would shorten or lengthen rows behind our back.
        loaded.no_truncation()
        loaded.no_padding()
        return loaded

    @cached_property
    def layout(self) -> TokenizerJson:
        try:
            return msgspec.json.decode(self.json, type=TokenizerJson)
        except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
            raise TokenizerError(f"{self.name}: tokenizer.json cannot be read: {problem}") from None

    @cached_property
    def json(self) -> bytes:
        """tokenizer.json: the original, or the extended tokenizer's."""
        if self.extended is None:
            return self.files["tokenizer.json"]
        return self.extended.to_str(pretty=True).encode()

    @cached_property
    def sha256(self) -> str:
        """Of tokenizer.json as it is saved with the output."""
        return hashlib.sha256(self.json).hexdigest()

    @cached_property
    def control_tokens(self) -> dict[str, AddedToken]:
        """The tokens that only a template may write, by their text."""
        return {token.content: token for token in self.layout.added_tokens if token.special}

    @cached_property
    def size(self) -> int:
        """One more than the largest id: the rows that the model's embedding must have."""
        vocab = self.layout.model.vocab
        top = max(vocab.values(), default=-1) if isinstance(vocab, dict) else len(vocab) - 1
        return max([top, *(token.id for token in self.layout.added_tokens)]) + 1

    def with_named_specials(self) -> "Tokenizer":
        """As in transformers: what the config names as a special token is a control token."""
        named = [text for text in self.specials.values() if text and text == text.strip()]
        if all(text in self.control_tokens for text in named):
            return self
        return self.with_control_tokens(named)

    @property
    def chat_template(self) -> str | None:
        """The tokenizer's own Jinja chat template (the one named default, where there are several)."""
        if "chat_template.jinja" in self.files:
            try:
                return self.files["chat_template.jinja"].decode()
            except UnicodeDecodeError:
                raise TokenizerError(f"{self.name}: chat_template.jinja is not UTF-8 text") from None
        for name in ("chat_template.json", "tokenizer_config.json"):
            template = _json_object(self.files.get(name), name).get("chat_template")
            if isinstance(template, str):
                return template
            if isinstance(template, list):
                entries = [entry for entry in template if isinstance(entry, dict)]
                named = {entry.get("name"): entry.get("template") for entry in entries}
                found = named.get("default")
                return found if isinstance(found, str) else None
        return None

    @cached_property
    def bos(self) -> str:
        """The text of the control token that this tokenizer puts before every text, or ""."""
        wants = self.config.get("add_bos_token")
        if wants is False:
            return ""
        bare = self.reference.encode("a", add_special_tokens=False).ids
        full = self.reference.encode("a", add_special_tokens=True).ids
        lead = full[: len(full) - len(bare)] if full[-len(bare) :] == bare else full[:1]
        if lead and lead != bare[:1]:
            return self.reference.id_to_token(lead[0]) or ""
        return (self.specials["bos"] or "") if wants else ""

    @cached_property
    def spells_bytes(self) -> bool:
        """Whether its tokens are written in GPT-2's alphabet for bytes."""
        layout = self.layout
        return (
            isinstance(layout.model.vocab, dict)
            and layout.model.type == "BPE"
            and any(part.type == "ByteLevel" for part in self._pre_tokenizers)
            and set("".join(layout.model.vocab)) <= _BYTE_OF_CHAR.keys() | set(self._added_text)
        )

    @cached_property
    def missing_bytes(self) -> bytes:
        """The bytes that no token stands for, of a vocabulary that was trained without them."""
        if not self.spells_bytes:
            return b""
        return bytes(byte for char, byte in _BYTE_OF_CHAR.items() if char not in self.layout.model.vocab)

    @cached_property
    def is_byte_level(self) -> bool:
        """Whether every token is a fixed string of bytes, so that byte counts give offsets."""
        return (
            self.spells_bytes
            and not self.missing_bytes
            and not any(part.add_prefix_space for part in self._pre_tokenizers)
            and (self.layout.normalizer is None or self.normalizes_nfc)
        )

    @property
    def _pre_tokenizers(self) -> list[PipelinePart]:
        return self.layout.pre_tokenizer.flat() if self.layout.pre_tokenizer else []

    @cached_property
    def spells_control(self) -> bool:
        """Whether ordinary text can become a control token, as the model's vocabulary has its text.

        A BPE makes tokens by its merges alone, of which control tokens have none.
        """
        model = self.layout.model
        if model.type == "BPE" and not model.ignore_merges:
            return False
        texts = model.vocab if isinstance(model.vocab, dict) else [text for text, _ in model.vocab]
        return not self.control_tokens.keys().isdisjoint(texts)

    @property
    def trims_offsets(self) -> bool:
        """Whether the offsets it reports leave out white space that the token holds."""
        processor = self.layout.post_processor
        return processor is not None and any(part.trim_offsets for part in processor.flat())

    @property
    def normalizes_nfc(self) -> bool:
        normalizer = self.layout.normalizer
        return normalizer is not None and {part.type for part in normalizer.flat()} <= {"NFC", "Sequence"}

    @cached_property
    def _added_text(self) -> str:
        return "".join(token.content for token in self.layout.added_tokens)

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """int64[size]: the UTF-8 bytes that each id stands for (byte-level tokenizers only)."""
        lengths = np.zeros(self.size, np.int64)
        vocab = self.layout.model.vocab
        if not isinstance(vocab, dict):
            raise InternalError(f"{self.name}: byte lengths are asked of a tokenizer that is not byte-level")
        ids = np.fromiter(vocab.values(), np.int64, len(vocab))
        lengths[ids] = np.fromiter(map(len, vocab), np.int64, len(vocab))
        for token in self.layout.added_tokens:
            lengths[token.id] = len(token.content.encode())
        return lengths

    def token_text(self, token_id: int) -> str | None:
        """A token as the vocabulary spells it, None where no token has this id."""
        return self._texts.get(token_id)

    @cached_property
    def _texts(self) -> dict[int, str]:
        """Read from tokenizer.json, which takes a tenth of the time of loading the tokenizer."""
        vocab = self.layout.model.vocab
        pairs = vocab.items() if isinstance(vocab, dict) else ((entry[0], i) for i, entry in enumerate(vocab))
        texts = {token_id: text for text, token_id in pairs}
        return texts | {token.id: token.content for token in self.layout.added_tokens}

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one id stands for in running text."""
        text = self.token_text(token_id)
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
        return frozenset(token.id for token in self.layout.added_tokens)

    def saved_files(self) -> dict[str, bytes]:
        """The files to save with the output: the originals, or the extended tokenizer's."""
        if self.extended is None:
            return self.files
        named = {f"{name}_token": text for name, text in self.specials.items() if text is not None}
        config = msgspec.json.encode({**self.config, **named})
        files = {name: raw for name, raw in self.files.items() if name != "special_tokens_map.json"}
        files["tokenizer.json"] = self.json
        files["tokenizer_config.json"] = msgspec.json.format(config, indent=2) + b"\n"
        return files

    def with_chat_template(self, source: str | None) -> dict[str, bytes]:
        """The files to save, with this chat template in place of the tokenizer's own (None: without)."""
        files = {
            name: raw for name, raw in self.saved_files().items() if not name.startswith("chat_template")
        }
        config = _json_object(files.get("tokenizer_config.json"), "tokenizer_config.json")
        if config.pop("chat_template", None) is not None:
            files["tokenizer_config.json"] = (
                msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
            )
        return files if source is None else {**files, "chat_template.jinja": source.encode()}

    def _refuse_spelled(self, extended: tokenizers.Tokenizer, tokens: Sequence[str]) -> None:
        """A piece of the vocabulary that ordinary text is made of cannot be a control token too."""
        if self.layout.model.type != "BPE":
            return  # the reference engine renames these: see engine
        for text in tokens:
            if extended.token_to_id(text) in _tokens_in(extended, text):
                raise TokenizerError(
                    f"special token {text!r}: is an ordinary token of {self.name!r}, which any text can "
                    "spell; take one that is not in its vocabulary"
                )

    def with_control_tokens(
        self, tokens: Sequence[str], specials: Mapping[str, str] | None = None
    ) -> "Tokenizer":
        """A copy in which `tokens` are control tokens, added at the end where they are not known.

        `specials` names some of them: {"pad": "<pad>"}.
        """
        named = dict(specials or {})
        wanted = dict.fromkeys([*tokens, *named.values()])
        for text in wanted:
            if not text or text != text.strip():
                raise TokenizerError(f"special token {text!r}: must have text, without white space around it")
        extended = tokenizers.Tokenizer.from_str(self.reference.to_str())
        missing = [text for text in wanted if text not in self.control_tokens]
        new = [text for text in missing if extended.token_to_id(text) is None]
        # A token that is there already keeps the white space that it takes in.
        there = {token.content: token for token in self.layout.added_tokens}
        extended.add_special_tokens([_as_added_token(text, there.get(text)) for text in missing])
        self._refuse_spelled(extended, missing)
        ids = [(text, extended.token_to_id(text)) for text in new]
        return replace(
            self,
            specials={**self.specials, **named},
            added=self.added + tuple((text, token_id) for text, token_id in ids if token_id is not None),
            extended=extended,
        )


def _tokens_in(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _as_added_token(text: str, known: AddedToken | None) -> tokenizers.AddedToken:
    if known is None:
        return tokenizers.AddedToken(text, normalized=False)
    return tokenizers.AddedToken(
        text,
        single_word=known.single_word,
        lstrip=known.lstrip,
        rstrip=known.rstrip,
        normalized=known.normalized,
    )


def load_tokenizer(source: str) -> Tokenizer:
    """Load a tokenizer from `demo`, a folder, a tokenizer.json, or a hub name in the local cache.

    Nothing is asked and no remote code is run. Raises TokenizerError with what was looked for.
    """
    files = find_files(source)
    config = _json_object(files.get("tokenizer_config.json"), f"{source}: tokenizer_config.json")
    specials_map = _json_object(files.get("special_tokens_map.json"), f"{source}: special_tokens_map.json")
    specials = {
        name: _token_text(config.get(f"{name}_token") or specials_map.get(f"{name}_token"))
        for name in SPECIAL_NAMES
    }
    return Tokenizer(source, files, config, specials).with_named_specials()


def _json_object(raw: bytes | None, where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise TokenizerError(f"{where}: {problem}") from None
    return data if isinstance(data, dict) else {}


def _token_text(value: Any) -> str | None:
    """A special token in a config is its text, or an object that holds it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _byte_of_char() -> dict[str, int]:
    """GPT-2's alphabet for bytes: printable bytes stand for themselves, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_BYTE_OF_CHAR = _byte_of_char()
# Workers and threads of ours are counted; the library's warning about forks does not apply.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def names_of(tokens: Iterable[str]) -> str:
    """Tokens as a list for a message, in quotes."""
    return ", ".join(repr(token) for token in tokens)

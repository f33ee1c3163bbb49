"""A tokenizer as data: made of the bytes of its files, extended by control tokens, and saved again."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import tokenizers

from sftcli.errors import TokenizerError
from sftcli.tokenizer_checks import MAX_TEXT, check_layout, check_loaded, panics_told, refuse_spelled
from sftcli.tokenizer_files import find_files
from sftcli.tokenizer_json import AddedToken, TokenizerJson

SPECIAL_NAMES = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")
# Workers and threads of ours are counted; the library's warning about forks does not apply.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


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

    @classmethod
    def of(cls, name: str, files: dict[str, bytes]) -> "Tokenizer":
        """The tokenizer of these files, tokenizer.json and what lay beside it. Raises TokenizerError."""
        config = _json_object(files.get("tokenizer_config.json"), f"{name}: tokenizer_config.json")
        specials_map = _json_object(files.get("special_tokens_map.json"), f"{name}: special_tokens_map.json")
        specials = {
            special: _token_text(config.get(f"{special}_token") or specials_map.get(f"{special}_token"))
            for special in SPECIAL_NAMES
        }
        found = cls(name, files, config, specials)
        # As in transformers: what the config names as a special token is a control token.
        named = [text for text in specials.values() if text and text == text.strip()]
        if all(text in found.control_tokens for text in named):
            return found
        return found.with_control_tokens(named)

    @cached_property
    def reference(self) -> tokenizers.Tokenizer:
        """The tokenizer as the `tokenizers` library has it. Raises TokenizerError if it cannot."""
        if self.extended is not None:
            return self.extended
        try:
            with panics_told():
                loaded = tokenizers.Tokenizer.from_buffer(self.files["tokenizer.json"])
        except TokenizerError:
            raise
        except Exception as problem:  # the library raises bare Exception and ValueError
            raise TokenizerError(f"{self.name}: tokenizer.json cannot be read: {problem}") from None
        # A baked-in truncation or padding would shorten or lengthen rows behind our back.
        loaded.no_truncation()
        loaded.no_padding()
        check_loaded(loaded, self.layout, self.name)
        return loaded

    @cached_property
    def layout(self) -> TokenizerJson:
        """What tokenizer.json says, read in a tenth of the time that loading the tokenizer takes."""
        try:
            layout = msgspec.json.decode(self.json, type=TokenizerJson)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            raise TokenizerError(f"{self.name}: tokenizer.json cannot be read: {problem}") from None
        check_layout(layout, self.name)
        return layout

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

    @property
    def control_tokens(self) -> dict[str, AddedToken]:
        """The tokens that only a template may write, by their text."""
        return self.layout.control_tokens

    @property
    def size(self) -> int:
        """One more than the largest id: the rows that the model's embedding must have."""
        return self.layout.size

    def token_text(self, token_id: int) -> str | None:
        """A token as the vocabulary spells it, None where no token has this id."""
        return self.layout.texts.get(token_id)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that one id stands for in running text."""
        return self.layout.token_bytes(token_id)

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
                named = [entry.get("template") for entry in entries if entry.get("name") == "default"]
                found = named[-1] if named else None
                return found if isinstance(found, str) else None
        return None

    @cached_property
    def bos(self) -> str:
        """The text of the control token that this tokenizer puts before every text, or ""."""
        wants = self.config.get("add_bos_token")
        if wants is False:
            return ""
        with panics_told():
            bare = self.reference.encode("a", add_special_tokens=False).ids
            full = self.reference.encode("a", add_special_tokens=True).ids
        lead = full[: len(full) - len(bare)] if full[-len(bare) :] == bare else full[:1]
        if lead and lead != bare[:1]:
            return self.reference.id_to_token(lead[0]) or ""
        return (self.specials["bos"] or "") if wants else ""

    def saved_files(self) -> dict[str, bytes]:
        """The files to save with the output: the originals, or the extended tokenizer's."""
        if self.extended is None:
            return self.files
        named = {f"{name}_token": text for name, text in self.specials.items() if text is not None}
        files = {name: raw for name, raw in self.files.items() if name != "special_tokens_map.json"}
        files["tokenizer.json"] = self.json
        files["tokenizer_config.json"] = _pretty({**self.config, **named})
        return files

    def with_chat_template(self, source: str | None) -> dict[str, bytes]:
        """The files to save, with this chat template in place of the tokenizer's own (None: without)."""
        files = {
            name: raw for name, raw in self.saved_files().items() if not name.startswith("chat_template")
        }
        config = _json_object(files.get("tokenizer_config.json"), "tokenizer_config.json")
        if config.pop("chat_template", None) is not None:
            files["tokenizer_config.json"] = _pretty(config)
        return files if source is None else {**files, "chat_template.jinja": source.encode()}

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
            if len(text) > MAX_TEXT:
                raise TokenizerError(f"special token {text[:80]!r}...: has over {MAX_TEXT:,} characters")
        extended = tokenizers.Tokenizer.from_str(self.reference.to_str())
        missing = [text for text in wanted if text not in self.control_tokens]
        new = [text for text in missing if extended.token_to_id(text) is None]
        # A token that is there already keeps the white space that it takes in.
        there = {token.content: token for token in self.layout.added_tokens}
        extended.add_special_tokens([_as_added_token(text, there.get(text)) for text in missing])
        if self.layout.model.type == "BPE":  # of others the reference engine renames these: see engine
            refuse_spelled(extended, missing, self.name)
        ids = [(text, extended.token_to_id(text)) for text in new]
        return replace(
            self,
            specials={**self.specials, **named},
            added=self.added + tuple((text, token_id) for text, token_id in ids if token_id is not None),
            extended=extended,
        )


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
    return Tokenizer.of(source, find_files(source))


def _json_object(raw: bytes | None, where: str) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise TokenizerError(f"{where}: {problem}") from None
    if not isinstance(data, dict):
        raise TokenizerError(f"{where}: holds no JSON object")
    return data


def _token_text(value: Any) -> str | None:
    """A special token in a config is its text, or an object that holds it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _pretty(config: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"

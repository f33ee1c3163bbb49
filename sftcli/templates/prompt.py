"""Prompt templates: format strings over a record's own fields."""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from sftcli.conversation import Conversation
from sftcli.errors import RecordError, TemplateError
from sftcli.templates.specials import MARK, SPECIAL, fill_specials

_CHAT_FIELDS = ("system", "instruction", "prompt", "output", "completion", "response")
# A record's fields that change what the answer means: a prompt template that has no place for
# one of them would lose it silently.
_MEANINGFUL = ("system", "history", "input")


class PromptVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wording of the prompt, used where every field in `when` has text."""

    text: str
    when: list[str] = []


Part = tuple[str, bool]  # literal text and False, or a field's name and True


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt and a completion as format strings over a record's fields.

    `variants` are tried in order. `end` is the terminator that follows the completion.
    `required` are the fields that every record must have, `optional` those that a variant's
    `when` asks for.
    """

    name: str
    description: str
    variants: tuple[tuple[tuple[str, ...], tuple[Part, ...]], ...]
    completion: tuple[Part, ...]
    begin: str
    end: str
    control_tokens: list[str]

    @cached_property
    def optional(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for when, _ in self.variants for name in when))

    @cached_property
    def required(self) -> tuple[str, ...]:
        parts = [part for _, parts in self.variants for part in parts] + list(self.completion)
        names = dict.fromkeys(text for text, is_field in parts if is_field)
        return tuple(name for name in names if name not in self.optional)

    @cached_property
    def _homeless(self) -> tuple[str, ...]:
        return tuple(name for name in _MEANINGFUL if name not in (*self.required, *self.optional))

    def resolve(self, specials: Mapping[str, str | None], bos: str) -> "PromptTemplate":
        """As RoleTemplate.resolve; a `{bos}` that the prompt spells itself is not doubled."""

        def fill(parts: tuple[Part, ...]) -> tuple[Part, ...]:
            return tuple(
                (text if is_field else fill_specials(text, specials, self.name), is_field)
                for text, is_field in parts
            )

        variants = tuple((when, fill(parts)) for when, parts in self.variants)
        begin = fill_specials(self.begin, specials, self.name)
        own_bos = begin.startswith(bos) or all(
            parts and not parts[0][1] and parts[0][0].startswith(bos) for _, parts in variants
        )
        return replace(
            self,
            variants=variants,
            completion=fill(self.completion),
            begin=begin if not bos or own_bos else bos + begin,
            end=fill_specials(self.end, specials, self.name),
            control_tokens=[fill_specials(token, specials, self.name) for token in self.control_tokens],
        )

    def fields_of(self, conversation: Conversation, system: str | None) -> dict[str, Any]:
        """The values for the placeholders, from a record's fields or a single-turn conversation."""
        fields = conversation.fields or self._chat_fields(conversation)
        if system is not None and "system" in self.optional and not fields.get("system"):
            fields = {**fields, "system": system}
        for name in self._homeless:
            if fields.get(name):
                raise RecordError(
                    "unused_field",
                    f"template {self.name!r} has no place for {name!r}, which this record fills; "
                    "use a template that has one, or drop the field from the data",
                    path=(name,),
                )
        return fields

    def _chat_fields(self, conversation: Conversation) -> dict[str, Any]:
        messages = conversation.messages
        system = messages[0].content if messages and messages[0].role == "system" else ""
        turns = messages[1:] if system else messages
        if [message.role for message in turns] != ["user", "assistant"]:
            raise RecordError(
                "not_single_turn",
                f"template {self.name!r} lays out one prompt and one answer; this conversation is "
                f"{', '.join(message.role for message in messages) or 'empty'}: use a chat template",
            )
        user, answer = turns[0].content, turns[1].content
        values = (system, user, user, answer, answer, answer)
        return dict(zip(_CHAT_FIELDS, values, strict=True))

    def wording(self, fields: Mapping[str, Any]) -> int:
        """Which of `variants` this record's fields call for."""
        for index, (when, _) in enumerate(self.variants):
            for name in when:
                value = fields.get(name)
                if type(value) is not str or not value:
                    break
            else:
                return index
        raise RecordError(
            "no_prompt",
            f"no wording of template {self.name!r} fits this record: the last entry of `prompt` "
            "should have no `when`",
        )

    def values(self, names: Sequence[str], fields: Mapping[str, Any]) -> list[str]:
        """The texts of a record's fields of these names."""
        found = [fields.get(name) for name in names]
        for name, value in zip(names, found, strict=True):
            if type(value) is not str:
                raise _field_error(self.name, name, fields)
        return found  # type: ignore[return-value]  # each was looked at


def _field_error(template: str, name: str, fields: Mapping[str, Any]) -> RecordError:
    if name not in fields:
        return RecordError(
            "missing_field",
            f"field {name!r}, which template {template!r} uses, is missing; "
            f"the record has {', '.join(map(repr, fields)) or 'no fields'}",
        )
    found = type(fields[name]).__name__ if fields[name] is not None else "null"
    return RecordError("wrong_type", f"field {name!r}: expected text, found {found}", path=(name,))


def _parse_format(text: str, name: str, key: str) -> tuple[Part, ...]:
    """Split a format string once, so that braces in data are never looked at."""
    parts: list[Part] = []

    def literal(piece: str) -> None:
        if parts and not parts[-1][1]:
            parts[-1] = (parts[-1][0] + piece, False)
        elif piece:
            parts.append((piece, False))

    try:
        for before, field, spec, conversion in string.Formatter().parse(text):
            literal(before)
            if field is None:
                continue
            if not field or spec or conversion:
                raise ValueError("a placeholder is a field's name alone, such as {question}")
            if SPECIAL.fullmatch(f"{{{field}}}"):
                literal(f"{MARK}{field}{MARK}")
            else:
                parts.append((field, True))
    except ValueError as problem:
        raise TemplateError(
            f"template {name!r}: {key}: {problem} (write a literal brace twice: {{{{ or }}}})"
        ) from None
    return tuple((text if is_field else _protect_braces(text), is_field) for text, is_field in parts)


def _protect_braces(text: str) -> str:
    """Tell written braces from placeholders: `{{eos}}` is text and stays so when specials go in."""
    text = SPECIAL.sub(f"{{{MARK}\\1}}", text)
    return re.sub(f"{MARK}(bos|eos|pad|sep|unk){MARK}", r"{\1}", text)


class PromptFile(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    prompt: str | list[PromptVariant]
    completion: str
    description: str = ""
    begin: str = ""
    end: str = "{eos}"
    control_tokens: list[str] = []

    def compile(self) -> PromptTemplate:
        wordings = self.prompt if isinstance(self.prompt, list) else [PromptVariant(self.prompt)]
        if not wordings:
            raise TemplateError(f"template {self.name!r}: `prompt` is an empty list")
        if not self.end:
            raise TemplateError(
                f"template {self.name!r}: `end` is empty: an answer that never ends cannot be "
                "trained to stop; leave it out for '{eos}'"
            )
        completion = self.completion.removesuffix(self.end)  # `end` follows it by itself, once
        template = PromptTemplate(
            name=self.name,
            description=self.description,
            variants=tuple((tuple(w.when), _parse_format(w.text, self.name, "prompt")) for w in wordings),
            completion=_parse_format(completion, self.name, "completion"),
            begin=self.begin,
            end=self.end,
            control_tokens=self.control_tokens,
        )
        if not any(is_field for _, is_field in template.completion):
            raise TemplateError(f"template {self.name!r}: `completion` names no field, so nothing is learnt")
        return template

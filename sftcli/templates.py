"""Templates as data: role templates and prompt templates, built in or from a user's YAML file."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError, TemplateError
from sftcli.yamlfile import check_keys, convert, load_yaml, nearest

_SPECIAL = re.compile(r"\{(bos|eos|pad|sep|unk)\}")
_NAME_IN_BRACES = re.compile(r"\{(?!(?:bos|eos|pad|sep|unk)\})[a-z_]+\}")
_CHAT_FIELDS = ("system", "instruction", "prompt", "output", "completion", "response")
# A record's fields that change what the answer means: a prompt template that has no place for
# one of them would lose it silently.
_MEANINGFUL = ("system", "history", "input")


class TurnLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands around one message's content.

    `before` is masked: for the assistant it is what the generation prompt supplies. `lead` is
    what the model writes itself before the content, `end` the terminator, `after` what follows
    the terminator and is never trained.
    """

    before: str = ""
    lead: str = ""
    end: str = ""
    after: str = ""


class RoleTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A conversation's layout: one TurnLayout per role.

    `system_in_user`: for layouts without a system turn, how the system text stands at the head of
    the first user turn (`"{system}\\n\\n"`). `control_tokens` must be control tokens of the
    tokenizer; without them the layout would not mean what it says.
    """

    name: str
    roles: dict[str, TurnLayout]
    description: str = ""
    begin: str = ""
    close: str = ""
    trim: bool = False
    default_system: str | None = None
    system_in_user: str | None = None
    control_tokens: list[str] = []

    def layout(self, message: Message, turn: int) -> TurnLayout:
        """The layout of one message. Raises RecordError where this template has none.

        `turn` is its place in the record, -1 for a system text that the record does not hold.
        """
        layout = self.roles.get(message.role)
        if layout is None or message.tool_calls or message.reasoning_content:
            raise self._refusal(message, turn)
        return layout

    def _refusal(self, message: Message, turn: int) -> RecordError:
        where = f"message {turn}" if turn >= 0 else "the system text"
        path = ("messages", turn) if turn >= 0 else ()
        if message.role not in self.roles:
            return RecordError(
                "unsupported_role",
                f"{where}: template {self.name!r} has no layout for role {message.role!r} "
                f"(it has {', '.join(self.roles)})",
                path=path,
            )
        what = "tool calls" if message.tool_calls else "reasoning_content"
        return RecordError(
            "unsupported_message",
            f"{where}: template {self.name!r} has no layout for {what}; "
            "use a chat template that has one (--template tokenizer or a .jinja file)",
            path=path,
        )

    def check(self) -> None:
        if "assistant" not in self.roles:
            raise TemplateError(f"template {self.name!r}: roles: needs an `assistant` entry")
        if not self.roles["assistant"].end:
            raise TemplateError(
                f"template {self.name!r}: roles.assistant.end is empty: a turn that never ends "
                "cannot be trained to stop; use '{eos}' if the layout has no terminator of its own"
            )
        if self.system_in_user is not None and "{system}" not in self.system_in_user:
            raise TemplateError(f"template {self.name!r}: system_in_user has no {{system}} in it")
        turns = {f"roles.{role}": msgspec.structs.astuple(turn) for role, turn in self.roles.items()}
        for key, texts in {**turns, "begin": (self.begin,), "close": (self.close,)}.items():
            unknown = next((name[0] for name in map(_NAME_IN_BRACES.search, texts) if name), None)
            if unknown:
                raise TemplateError(
                    f"template {self.name!r}: {key}: {unknown} is not a special token of a tokenizer "
                    "({bos}, {eos}, {pad}, {sep}, {unk}); a message's content needs no placeholder, it "
                    "stands between `before` and `end`"
                )

    def resolve(self, specials: Mapping[str, str | None], bos: str) -> "RoleTemplate":
        """Put the tokenizer's special tokens in place of `{bos}`, `{eos}`, ...

        `bos` is the BOS that every row must start with, or "" where the tokenizer wants none.
        """

        def fill(text: str) -> str:
            return _fill_specials(text, specials, self.name)

        begin = fill(self.begin)
        return msgspec.structs.replace(
            self,
            roles={
                role: TurnLayout(*(fill(getattr(turn, part)) for part in TurnLayout.__struct_fields__))
                for role, turn in self.roles.items()
            },
            begin=begin if not bos or begin.startswith(bos) else bos + begin,
            close=fill(self.close),
            system_in_user=None if self.system_in_user is None else fill(self.system_in_user),
            control_tokens=[fill(token) for token in self.control_tokens],
        )


class PromptVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One wording of the prompt, used where every field in `when` has text."""

    text: str
    when: list[str] = []


Part = tuple[str, bool]  # literal text and False, or a field's name and True
# Stands behind the brace of a written {{eos}}, which is text and no placeholder.
_MARK = "\0"


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
                (text if is_field else _fill_specials(text, specials, self.name), is_field)
                for text, is_field in parts
            )

        variants = tuple((when, fill(parts)) for when, parts in self.variants)
        begin = _fill_specials(self.begin, specials, self.name)
        own_bos = begin.startswith(bos) or all(
            parts and not parts[0][1] and parts[0][0].startswith(bos) for _, parts in variants
        )
        return replace(
            self,
            variants=variants,
            completion=fill(self.completion),
            begin=begin if not bos or own_bos else bos + begin,
            end=_fill_specials(self.end, specials, self.name),
            control_tokens=[_fill_specials(token, specials, self.name) for token in self.control_tokens],
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

    def prompt_parts(self, fields: Mapping[str, Any]) -> list[Part]:
        """(text, is content) for the wording that this record's fields call for."""
        for when, parts in self.variants:
            if all(_has_text(fields.get(name)) for name in when):
                return self._parts(parts, fields)
        raise RecordError(
            "no_prompt",
            f"no wording of template {self.name!r} fits this record: the last entry of `prompt` "
            "should have no `when`",
        )

    def completion_parts(self, fields: Mapping[str, Any]) -> list[Part]:
        """(text, is content) of the completion, without its terminator."""
        return self._parts(self.completion, fields)

    def _parts(self, parts: tuple[Part, ...], fields: Mapping[str, Any]) -> list[Part]:
        found: list[Part] = []
        for part in parts:
            text, is_field = part
            if not is_field:
                found.append(part)
                continue
            value = fields.get(text)
            if not isinstance(value, str):
                raise _field_error(self.name, text, fields)
            if value:
                found.append((value, True))
        return found


Template = RoleTemplate | PromptTemplate


def _has_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _field_error(template: str, name: str, fields: Mapping[str, Any]) -> RecordError:
    if name not in fields:
        return RecordError(
            "missing_field",
            f"field {name!r}, which template {template!r} uses, is missing; "
            f"the record has {', '.join(map(repr, fields)) or 'no fields'}",
        )
    found = type(fields[name]).__name__ if fields[name] is not None else "null"
    return RecordError("wrong_type", f"field {name!r}: expected text, found {found}", path=(name,))


def _fill_specials(text: str, specials: Mapping[str, str | None], template: str) -> str:
    def value(match: re.Match[str]) -> str:
        token = specials.get(match[1])
        if token is None and match[1] != "bos":
            raise TemplateError(
                f"template {template!r} uses {match[0]}, and the tokenizer has no {match[1]} token; "
                f"name one with --{match[1]}-token TEXT"
            )
        return token or ""

    return _SPECIAL.sub(value, text).replace(f"{{{_MARK}", "{")


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
            if _SPECIAL.fullmatch(f"{{{field}}}"):
                literal(f"{_MARK}{field}{_MARK}")
            else:
                parts.append((field, True))
    except ValueError as problem:
        raise TemplateError(
            f"template {name!r}: {key}: {problem} (write a literal brace twice: {{{{ or }}}})"
        ) from None
    return tuple((text if is_field else _protect_braces(text), is_field) for text, is_field in parts)


def _protect_braces(text: str) -> str:
    """Tell written braces from placeholders: `{{eos}}` is text and stays so when specials go in."""
    text = _SPECIAL.sub(f"{{{_MARK}\\1}}", text)
    return re.sub(f"{_MARK}(bos|eos|pad|sep|unk){_MARK}", r"{\1}", text)


class _PromptFile(msgspec.Struct, forbid_unknown_fields=True):
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
        template = PromptTemplate(
            name=self.name,
            description=self.description,
            variants=tuple((tuple(w.when), _parse_format(w.text, self.name, "prompt")) for w in wordings),
            completion=_parse_format(self.completion, self.name, "completion"),
            begin=self.begin,
            end=self.end,
            control_tokens=self.control_tokens,
        )
        if not any(is_field for _, is_field in template.completion):
            raise TemplateError(f"template {self.name!r}: `completion` names no field, so nothing is learnt")
        return template


def builtin_names() -> list[str]:
    """The names of the templates in the package, sorted."""
    folder = resources.files("sftcli") / "data" / "templates"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def load_template(name: str) -> Template:
    """A built-in template by its name, or a user's by the path of its .yaml file."""
    if name.endswith((".yaml", ".yml")):
        return template_from_file(Path(name))
    if name not in builtin_names():
        raise TemplateError(
            f"unknown template {name!r}{nearest(name, [*builtin_names(), 'tokenizer'])} "
            "(a file is named by its path, ending in .yaml or .jinja)"
        )
    with resources.as_file(resources.files("sftcli") / "data" / "templates" / f"{name}.yaml") as path:
        return template_from_file(path)


def template_from_file(path: Path) -> Template:
    """Read one YAML template: with `roles:` a role template, with `prompt:` a prompt template."""
    data = load_yaml(path, TemplateError)
    data.setdefault("name", path.stem)
    kind: type[RoleTemplate | _PromptFile]
    if "roles" in data:
        kind = RoleTemplate
    elif "prompt" in data:
        kind = _PromptFile
    else:
        raise TemplateError(
            f"{path}: neither `roles:` (a chat layout) nor `prompt:` and `completion:` is there"
        )
    check_keys(data, kind.__struct_fields__, str(path), TemplateError)
    loaded = convert(data, kind, str(path), TemplateError)
    if isinstance(loaded, _PromptFile):
        return loaded.compile()
    loaded.check()
    return loaded

"""The template under check: opened with its tokenizer, and rendered as prepare renders it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sftcli.check.probes import PROBES
from sftcli.conversation import Conversation
from sftcli.errors import ConfigError, RecordError, TemplateError, TokenizerError
from sftcli.mask import MaskPolicy
from sftcli.render import RoleRenderer, render_prompt
from sftcli.rendered import Rendered
from sftcli.templates import PromptTemplate, RoleTemplate, Template, builtin_names, load_template
from sftcli.tokenizer import SPECIAL_NAMES, Tokenizer, load_tokenizer
from sftcli.yamlfile import nearest

if TYPE_CHECKING:
    from sftcli.chat_template import ChatTemplate

JINJA, YAML = (".jinja", ".j2"), (".yaml", ".yml")

# Text that models' tokenizers hold as one control token, as far as its look tells. In square
# brackets it is a token of some (Mistral v3) and plain text of others (Llama 2).
_LOOKS_LIKE_CONTROL = re.compile(
    r"<\|[^|<>\s]{1,50}\|>|<｜[^｜<>]{1,50}｜>|<\|[a-z_]{1,30}>|<[a-z_]{1,30}\|>"
    r"|<(?:start|end)_of_[a-z]{1,20}>|</?s>|<(?:bos|eos|pad|sep|unk|sop|eop)>|\[/?[A-Z_]{3,20}\]|\[gMASK\]"
)


@dataclass(frozen=True)
class Subject:
    """A template and the tokenizer that it is checked with.

    `own`: the template is the tokenizer's own. `stand_in`: no tokenizer was named, and this one
    was made up for the template, of which the listed tokens are asked.
    """

    name: str
    template: "RoleTemplate | PromptTemplate | ChatTemplate"
    tokenizer: Tokenizer
    own: bool = False
    stand_in: tuple[str, ...] | None = None

    @property
    def kind(self) -> str:
        if isinstance(self.template, RoleTemplate):
            return "role"
        return "prompt" if isinstance(self.template, PromptTemplate) else "chat"

    @property
    def chat(self) -> "ChatTemplate | None":
        return None if isinstance(self.template, RoleTemplate | PromptTemplate) else self.template

    @cached_property
    def _known(self) -> dict[str, Rendered | RecordError]:
        return {}

    def outcome(self, probe: str) -> Rendered | RecordError:
        """A probe's row as prepare makes it, or why it refuses to."""
        if probe not in self._known:
            self._known[probe] = self.tried(PROBES[probe])
        return self._known[probe]

    def row(self, probe: str) -> Rendered:
        """A probe's row as prepare makes it. Raises RecordError where prepare refuses to."""
        row = self.outcome(probe)
        if isinstance(row, RecordError):
            raise row
        return row

    def tried(self, conversation: Conversation) -> Rendered | RecordError:
        try:
            return self._render(conversation)
        except RecordError as problem:
            return problem
        except TemplateError as problem:  # what prepare ends with, found at the first row
            return RecordError("template_unfit", str(problem))

    def _render(self, conversation: Conversation) -> Rendered:
        policy = MaskPolicy()
        if isinstance(self.template, RoleTemplate):
            return RoleRenderer(self.template, policy, None)(conversation)
        if isinstance(self.template, PromptTemplate):
            return render_prompt(conversation, self.template, policy, None)
        return self.template.render_row(conversation, policy, None)

    def written(self, conversation: Conversation) -> list[tuple[str, bool]]:
        """(text, is data), also where the mask is not proven. Raises RecordError where nothing renders."""
        if self.chat is None:
            return [(piece.text, piece.content) for piece in self._render(conversation).pieces]
        from sftcli.jinja.proof import lay_out

        layout, at = lay_out(self.chat.program, conversation, None).layout, 0
        found = []
        for hole in layout.holes:
            found += [(layout.text[at : hole.start], False), (layout.text[hole.start : hole.stop], True)]
            at = hole.stop
        return [*found, (layout.text[at:], False)]

    def given(self, probe: str, count: int, prompt: bool) -> str:
        """The first `count` messages, with or without a generation prompt. Raises RecordError."""
        part = Conversation(messages=PROBES[probe].messages[:count], tools=PROBES[probe].tools)
        if isinstance(self.template, RoleTemplate):
            text = self._render(part).text
            if not prompt:
                return text
            return text.removesuffix(self.template.close) + self.template.roles["assistant"].before
        if self.chat is None:
            return ""
        from sftcli.jinja.data import plain_text, template_messages, template_tools

        program = self.chat.program
        data = template_messages(part.messages, 0, program.shape, plain_text)
        return program.run(program.plain, data, template_tools(part.tools, plain_text), prompt)

    def conversations(self) -> Iterator[Conversation]:
        """All that the template is tried with."""
        if not isinstance(self.template, PromptTemplate):
            yield from PROBES.values()
            return
        for when, _ in self.template.variants:
            yield Conversation(fields={name: f"{{{name}}}" for name in (*self.template.required, *when)})

    @cached_property
    def template_text(self) -> str:
        """All text that the template itself wrote into the probes, generation prompts included."""
        found: dict[str, None] = {}
        for conversation in self.conversations():
            try:
                found.update((text, None) for text, is_data in self.written(conversation) if not is_data)
            except RecordError:
                continue
        if self.chat is not None:
            found[self.chat.usual_prompt] = None
        return "\0".join(found)

    @cached_property
    def controls(self) -> list[str]:
        """The tokenizer's control tokens that the template writes."""
        text = self.template_text
        return sorted((token for token in self.tokenizer.control_tokens if token in text), key=text.index)

    @cached_property
    def missing(self) -> list[str]:
        """What looks like a control token in the template's text and is none of the tokenizer's."""
        if not isinstance(self.template, RoleTemplate | PromptTemplate):
            found = dict.fromkeys(_LOOKS_LIKE_CONTROL.findall(self.template_text))
        else:  # a template of ours says what it needs
            found = dict.fromkeys(self.template.control_tokens)
        return [text for text in found if text not in self.tokenizer.control_tokens]

    @property
    def sample(self) -> list[tuple[str, Rendered]]:
        """(heading, row): the longest plain conversation that it takes, or each wording of a prompt."""
        if isinstance(self.template, PromptTemplate):
            headings = [" and ".join(when) for when, _ in self.template.variants]
            rows = [self.tried(conversation) for conversation in self.conversations()]
            several = len(headings) > 1
            return [
                ((f"with {heading}:" if heading else "otherwise:") if several else "", row)
                for heading, row in zip(headings, rows, strict=True)
                if isinstance(row, Rendered)
            ]
        for probe in ("whole", "turns", "plain"):
            row = self.outcome(probe)
            if isinstance(row, Rendered):
                return [("", row)]
        return []


def open_subject(name: str, tokenizer: str | None, args: Mapping[str, Any]) -> Subject:
    """A template by its name or file, or a tokenizer's own. Raises UsageError with what to do next."""
    is_jinja = name.endswith(JINJA) or (name == "tokenizer" and tokenizer is not None)
    if is_jinja:
        return _open_chat(name, tokenizer, args)
    if name in builtin_names() or name.endswith(YAML):
        if args:
            raise ConfigError(
                f"--template-arg {next(iter(args))}: template {name!r} takes no arguments; "
                "only Jinja chat templates do"
            )
        return _open_layout(name, load_template(name), tokenizer)
    if tokenizer is not None:
        load_template(name)  # which says what the names are
        raise ConfigError(f"{name!r} is a tokenizer, whose own chat template is checked: leave out -t")
    try:
        loaded = load_tokenizer(name)
    except TokenizerError as problem:
        known = nearest(name, builtin_names()) or f" ({', '.join(builtin_names())})"
        raise TokenizerError(f"{problem}; and no built-in template is called so{known}") from None
    if loaded.chat_template is None:
        raise TokenizerError(
            f"tokenizer {name!r} has no chat template of its own: name a template, and this tokenizer with -t"
        )
    return _open_chat("tokenizer", name, args)


def _open_layout(name: str, template: Template, tokenizer: str | None) -> Subject:
    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer)
        return Subject(name, template.resolve(loaded.specials, loaded.bos), loaded)
    base = _stand_in()
    resolved = template.resolve(base.specials, base.bos)
    extended = base.with_control_tokens(resolved.control_tokens)
    subject = Subject(name, resolved, extended)
    return Subject(name, resolved, extended, stand_in=tuple(subject.controls))


def _open_chat(name: str, tokenizer: str | None, args: Mapping[str, Any]) -> Subject:
    from sftcli.chat_template import ChatTemplate, load_chat_template

    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer)
        own = name == "tokenizer"
        return Subject(tokenizer if own else name, load_chat_template(name, loaded, args), loaded, own)
    base = _stand_in()
    bare = Subject(name, load_chat_template(name, base, args), base)
    asked = [*bare.controls, *bare.missing]
    extended = base.with_control_tokens(asked)
    source = bare.chat.source if bare.chat else ""
    return Subject(name, ChatTemplate(name, source, extended, args), extended, stand_in=tuple(asked))


def _stand_in() -> Tokenizer:
    """`demo`, its special tokens named so that they are seen to stand for a tokenizer's own."""
    demo = load_tokenizer("demo")
    names = {name: f"<{name}>" for name in SPECIAL_NAMES}
    return demo.with_control_tokens([], names)

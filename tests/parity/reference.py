"""What the rendered text and its marks must be, computed without sftcli's renderer.

Texts come from transformers. Marks come from transformers too: each `{% generation %}` tag is
rewritten so that it lays a character of its own down where it starts and ends, which are then read
off the text; so they are exact for any template, macros and blocks included.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sftcli.chat_template import ChatTemplate
from sftcli.conversation import Conversation
from sftcli.jinja.data import plain_text, template_messages
from sftcli.tokenizer import Tokenizer

_OPEN, _CLOSE = "\U0010fff0", "\U0010fff1"
_GENERATION = re.compile(r"\{%([-+]?)\s*generation\s*([-+]?)%\}")
_ENDGENERATION = re.compile(r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}")
# What the models' tokenizers hold as control tokens, as the templates spell them.
_CONTROL = re.compile(
    r"<\|[^|<>\s'\"]+\|?>|<[a-z_]+\|>|<｜[^｜<>]+｜>|<\|\"\|>|</?s>|\[gMASK\]|<sop>"
    r"|<(?:start|end)_of_(?:turn|image|utterance)>|<end_of_utterance>|<image>|<fake_token_around_image>"
)
_THINKING = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
BOS, EOS = "<|reference_bos|>", "<|reference_eos|>"


@cache
def template_folder() -> Path | None:
    """Where trl keeps its chat templates, or None where it is not installed."""
    spec = find_spec("trl")
    folders = (
        [Path(place) / "chat_templates" for place in (spec.submodule_search_locations or ())] if spec else []
    )
    return next((folder for folder in folders if folder.is_dir()), None)


def template_names() -> list[str]:
    folder = template_folder()
    return sorted(path.stem for path in folder.glob("*.jinja")) if folder else []


def source_of(name: str) -> str:
    folder = template_folder()
    assert folder is not None
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def load(
    name: str, tokenizer: Tokenizer, args: Mapping[str, Any] | None = None, **options: Any
) -> ChatTemplate:
    """The template, its markers the tokenizer's control tokens. Its date is today, as transformers has it."""
    source = source_of(name)
    control = {text for text in _CONTROL.findall(source) if text not in _THINKING}
    extended = tokenizer.with_control_tokens([*sorted(control), BOS, EOS], {"bos": BOS, "eos": EOS})
    return ChatTemplate(name, source, extended, {"date": date.today().isoformat(), **(args or {})}, **options)


@dataclass(frozen=True)
class Reference:
    """A text and the marked ranges in it, or the exception that the template ended in."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()
    refusal: Exception | None = None


def render(
    template: ChatTemplate, conversation: Conversation, count: int | None = None, prompt: bool = False
) -> Reference:
    """transformers' text of the first `count` messages."""
    return _render(template.source, template, conversation, count, prompt)


def render_marked(template: ChatTemplate, conversation: Conversation) -> Reference:
    """transformers' text with its marked ranges."""
    source = _GENERATION.sub(rf"{{%\1 if true %}}{{{{ '{_OPEN}' }}}}{{% if true \2%}}", template.source)
    source = _ENDGENERATION.sub(rf"{{%\1 endif %}}{{{{ '{_CLOSE}' }}}}{{% endif \2%}}", source)
    reference = _render(source, template, conversation, None, False)
    marks: list[tuple[int, int]] = []
    at = opened = 0
    for char in reference.text:
        if char == _OPEN:
            opened = at
        elif char == _CLOSE:
            marks.append((opened, at))
        else:
            at += 1
    text = reference.text.replace(_OPEN, "").replace(_CLOSE, "")
    return Reference(text, tuple(marks), reference.refusal)


def _render(
    source: str, template: ChatTemplate, conversation: Conversation, count: int | None, prompt: bool
) -> Reference:
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = template_messages(conversation.messages[:count], 0, template.shape, plain_text)
    try:
        texts, _ = render_jinja_template(
            conversations=[messages],
            tools=conversation.tools or None,
            chat_template=source,
            add_generation_prompt=prompt,
            **template.variables,
        )
    except Exception as problem:  # whatever a template refuses with
        return Reference("", (), problem)
    return Reference(texts[0])

"""Job: everything that turns a line into tokens, made once from a Config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Union

from sftcli.config import Config
from sftcli.conversation import Conversation
from sftcli.errors import ConfigError, RecordError, TemplateError
from sftcli.fit import Fitter, Limits
from sftcli.keep import keep_types, kept_values
from sftcli.mask import MaskPolicy
from sftcli.parse import NOTHING_READ, Parser, Reads, decode_line, detect_format, keys_read, make_parser
from sftcli.render import PromptRenderer, Renderer, RoleRenderer, render_segments
from sftcli.rendered import Rendered
from sftcli.templates import PromptTemplate, RoleTemplate, as_jinja, load_template, read_template
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.yamlfile import nearest

if TYPE_CHECKING:
    from sftcli.chat_template import ChatTemplate

_OWN_LAYOUT = ("segments", "text")  # formats whose records bring their layout with them
_CALLS = (b'"tool_calls"', b'"function_call"')  # what records with tool calls hold
_DEFAULT_TEMPLATES = {"alpaca": "alpaca", "prompt_completion": "plain"}

AnyTemplate = Union[RoleTemplate, PromptTemplate, "ChatTemplate"]


@dataclass(frozen=True)
class Job:
    """What a run does to each line.

    `template` is the name that reports show. `keep` are the types of the fields that go along with
    each row, by name: string, int64, double or bool.
    """

    config: Config
    tokenizer: Tokenizer
    record_format: str
    template: str
    reads: Reads
    parse: Parser
    render: Renderer
    layout: "AnyTemplate | None"
    keep: Mapping[str, str]
    fitter: Fitter

    def parsed(self, raw: bytes) -> Conversation:
        """What a good line says."""
        return self.parse(decode_line(raw, self.reads) or {})

    @cached_property
    def adds(self) -> bool:
        """Whether `add_to` has anything to do."""
        return bool(self.config.loss_weight or self.keep)

    def add_to(self, row: Rendered, record: Mapping[str, Any], conversation: Conversation) -> None:
        """Put what of the record goes along with its row beside it. Raises RecordError."""
        if self.config.loss_weight:
            row.weights = self._weights_of(conversation)
        row.kept = kept_values(record, self.keep)

    def _weights_of(self, conversation: Conversation) -> tuple[float, ...]:
        """The loss weights of a record's own messages, by turn; empty where all of them are 1."""
        messages = conversation.messages
        if isinstance(self.layout, PromptTemplate):
            messages = messages[-2:]  # its turns are the prompt and the answer, whatever comes before them
        weights = tuple(message.weight for message in messages)
        return () if weights.count(1.0) == len(weights) else weights

    def tokenizer_files(self) -> dict[str, bytes]:
        """The tokenizer to save with the rows, its chat template the one that they were made with.

        Rows of a prompt template are no chats: the tokenizer then has none.
        """
        if self.layout is None or self.template == "tokenizer":
            return self.tokenizer.saved_files()
        if isinstance(self.layout, PromptTemplate):
            return self.tokenizer.with_chat_template(None)
        if isinstance(self.layout, RoleTemplate):
            return self.tokenizer.with_chat_template(as_jinja(self.layout))
        return self.tokenizer.with_chat_template(self.layout.source)


def template_bytes(config: Config) -> bytes | None:
    """What is in the file that the config names as its template, if it names one."""
    name = config.template or ""
    return read_template(name) if name.endswith((".yaml", ".yml", ".jinja", ".j2")) else None


def make_job(config: Config, tokenizer: Tokenizer, sample: Sequence[bytes], raw: bytes | None = None) -> Job:
    """Load the template, and settle on a record format from the first lines.

    `raw` is what is in the template's file, where it is one (see `template_bytes`).
    """
    template = _load_template(config.template, tokenizer, config, raw) if config.template else None
    fields = (template.required, template.optional) if isinstance(template, PromptTemplate) else ((), ())
    record_format: str = config.record_format
    if record_format == "auto":
        record_format = _detect(_records(sample), config, template)
    if record_format in _OWN_LAYOUT:
        template = None
    elif template is None:
        template = _default_template(record_format, tokenizer, config, sample)
    if isinstance(template, RoleTemplate | PromptTemplate):
        template = template.resolve(tokenizer.specials, tokenizer.bos)
        _check_control_tokens(template.name, template.control_tokens, tokenizer)
    render = _renderer(template, tokenizer, config)
    return Job(
        config=config,
        tokenizer=tokenizer,
        record_format=record_format,
        template=template.name if template else record_format,
        reads=keys_read(record_format, config.field, (name for some in fields for name in some), config.keep),
        parse=make_parser(record_format, config.field, fields, weighted=bool(config.loss_weight)),
        render=render,
        layout=template,
        keep=keep_types(config.keep, _records(sample)) if config.keep else {},
        fitter=_fitter(config, tokenizer, record_format, template, render),
    )


def _fitter(
    config: Config,
    tokenizer: Tokenizer,
    record_format: str,
    template: "AnyTemplate | None",
    render: Renderer,
) -> Fitter:
    bos = tokenizer.control_tokens.get(tokenizer.bos or tokenizer.specials["bos"] or "")
    side = config.truncation_side or "right"
    return Fitter(
        Limits(config.longest_record, config.min_trained, config.truncation, side),
        record_format,
        template,
        render,
        everything=config.train_on == "all",
        bos=bos.id if bos else None,
    )


def _detect(records: Sequence[dict[str, object]], config: Config, template: "AnyTemplate | None") -> str:
    required = template.required if isinstance(template, PromptTemplate) else ()
    try:
        return detect_format(records, config.field, required)
    except RecordError:
        if not (records and isinstance(template, PromptTemplate)):
            raise
    # The template is named by the user and the records are of no known shape: one of the two is off.
    there = list(records[0])
    missing = next(name for name in required if config.field.get(name, name) not in there)
    raise TemplateError(
        f"template {template.name!r} uses the field {missing!r}, which the records do not have"
        f"{nearest(missing, there).replace('known:', 'they have')}. Mend the template, or map the fields: "
        + " ".join(f"--field {name}=KEY" for name in required)
    )


def open_tokenizer(config: Config, files: dict[str, bytes] | None = None) -> Tokenizer:
    """The config's tokenizer, extended by its special tokens. `files` are its own, where they were read."""
    if config.tokenizer is None:
        raise ConfigError(
            "no tokenizer: name one with -t (a folder, a tokenizer.json, a hub name, or `demo`)"
        )
    tokenizer = load_tokenizer(config.tokenizer) if files is None else Tokenizer.of(config.tokenizer, files)
    named = {name: getattr(config, f"{name}_token") for name in ("bos", "eos", "pad", "sep")}
    named = {name: text for name, text in named.items() if text is not None}
    if named or config.add_special_tokens:
        return tokenizer.with_control_tokens(config.add_special_tokens, named)
    return tokenizer


def _load_template(name: str, tokenizer: Tokenizer, config: Config, raw: bytes | None = None) -> AnyTemplate:
    if name == "tokenizer" or name.endswith((".jinja", ".j2")):
        from sftcli.chat_template import load_chat_template  # jinja2 is only loaded where it is used

        return load_chat_template(
            name, tokenizer, config.template_args, raw, spans=config.spans, injected=config.injected
        )
    if config.template_args:
        raise ConfigError(
            f"--template-arg {next(iter(config.template_args))}: template {name!r} takes no arguments; "
            "only Jinja chat templates do"
        )
    return load_template(name, raw)


def _default_template(
    record_format: str, tokenizer: Tokenizer, config: Config, sample: Sequence[bytes]
) -> AnyTemplate:
    if tokenizer.chat_template is not None and record_format != "fields":
        return _load_template("tokenizer", tokenizer, config)
    if record_format in _DEFAULT_TEMPLATES:
        return _load_template(_DEFAULT_TEMPLATES[record_format], tokenizer, config)
    if any(key in raw for raw in sample for key in _CALLS):
        which = (
            "these have tool calls, for which no built-in template has a layout: pass --template FILE.jinja, "
            "the chat template of the model that is trained"
        )
    else:
        which = "name it with --template (`sftcli templates list` shows those built in)"
    raise TemplateError(
        f"tokenizer {tokenizer.name!r} has no chat template of its own, so {record_format} records need one: "
        + which
    )


def _records(sample: Sequence[bytes]) -> list[dict[str, object]]:
    """The sample's good records; the bad ones are reported when the run meets them."""
    records = []
    for raw in sample:
        try:
            record = decode_line(raw, NOTHING_READ)
        except RecordError:
            continue
        if record is not None:
            records.append(record)
    return records


def _renderer(template: AnyTemplate | None, tokenizer: Tokenizer, config: Config) -> Renderer:
    policy = MaskPolicy.of(config.train_on, config.train_on_eos, config.loss_weight)
    if template is None or isinstance(template, PromptTemplate):
        _check_weights(template, config.loss_weight)
    if template is None:
        return partial(
            render_segments, begin=tokenizer.bos, end=tokenizer.specials["eos"] or "", policy=policy
        )
    if not isinstance(template, RoleTemplate | PromptTemplate):
        return partial(template.render_row, policy=policy, system=config.system)
    if isinstance(template, RoleTemplate):
        return RoleRenderer(template, policy, config.system)
    if config.system is not None and "system" not in (*template.optional, *template.required):
        raise ConfigError(f"--system: template {template.name!r} has no place for a system text")
    return PromptRenderer(template, policy, config.system)


def _check_weights(template: PromptTemplate | None, loss_weight: Mapping[str, float]) -> None:
    """Raise ConfigError for a weight of a role that no text of these rows has."""
    other = next((role for role in loss_weight if role not in ("user", "assistant")), None)
    if other is None:
        return
    if template is None:
        roles = "segments have no such role; what is trained in them is the assistant's, the rest the user's"
    else:
        roles = (
            f"template {template.name!r} lays out no such turn; its prompt, a system text included, is the "
            "user's, and its answer the assistant's"
        )
    raise ConfigError(f"--loss-weight {other}: {roles}")


def _check_control_tokens(template: str, needed: Sequence[str], tokenizer: Tokenizer) -> None:
    missing = [token for token in needed if token not in tokenizer.control_tokens]
    if missing:
        flags = " ".join(f"--add-special-token '{token}'" for token in missing)
        named = ", ".join(map(repr, missing))
        raise TemplateError(
            f"template {template!r} needs control tokens that tokenizer {tokenizer.name!r} does not have: "
            f"{named}. Take a template that fits the tokenizer, or extend it: {flags} "
            "(and name the token that ends a turn with --eos-token)"
        )

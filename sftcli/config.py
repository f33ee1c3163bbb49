"""Config: every option that changes the bytes of the output, from a YAML file and from flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from sftcli.conversation import TrainOn, TrainOnEos
from sftcli.errors import ConfigError
from sftcli.yamlfile import OPTIONS, check_keys, convert, load_yaml

COMPRESSIONS = {
    "parquet": ("zstd", "snappy", "lz4", "gzip", "none"),
    "arrow": ("none", "lz4", "zstd"),
}


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run does. The field names are the YAML keys and, with dashes, the flags.

    `template` None means the tokenizer's own chat template or, where it has none, the prompt
    template that goes with the record format. `template_args`, `spans` and `injected` are for Jinja
    chat templates (see ChatTemplate). `select` and `ignore` name the rules that are on beside the
    errors of the stages. `compression` None means the format's default.
    """

    inputs: list[str] = []
    output: str | None = None
    tokenizer: str | None = None
    template: str | None = None
    template_args: dict[str, Any] = {}
    spans: Literal["auto", "derived", "marks"] = "auto"
    injected: Literal["train", "mask"] = "train"
    record_format: Literal[
        "auto", "alpaca", "prompt_completion", "messages", "sharegpt", "segments", "text", "fields"
    ] = "auto"
    field: dict[str, str] = {}
    system: str | None = None
    train_on: TrainOn = "assistant"
    train_on_eos: TrainOnEos = "turn"
    max_length: int | None = None
    truncation: Literal["drop"] = "drop"
    limit: int | None = None
    on_error: Literal["fail", "skip", "quarantine"] = "fail"
    select: list[str] = []
    ignore: list[str] = []
    format: Literal["parquet", "arrow"] = "parquet"
    compression: Literal["zstd", "snappy", "lz4", "gzip", "none"] | None = None
    add_special_tokens: list[str] = []
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    sep_token: str | None = None
    encoder: Literal["auto", "fastokens", "tokenizers"] = "auto"

    @property
    def codec(self) -> str:
        """The compression in force."""
        return self.compression or COMPRESSIONS[self.format][0]


def load_config(path: str | None, flags: Mapping[str, Any]) -> Config:
    """The YAML file's values under the flags' (a flag that is None, or empty, was not given).

    Raises ConfigError that names the file or flag, the key, and the nearest known one.
    """
    data: dict[str, Any] = {}
    if path is not None:
        data = load_yaml(Path(path))
        check_keys(data, Config.__struct_fields__, path, ConfigError)
        convert(data, Config, path)
    data |= {key: value for key, value in flags.items() if value not in (None, (), [], {})}
    config = convert(data, Config, OPTIONS)
    _check(config)
    return config


def _check(config: Config) -> None:
    if config.select or config.ignore:
        from sftcli.rules.catalogue import selected

        selected(config.select, (), config.ignore)
    for key in ("max_length", "limit"):
        value = getattr(config, key)
        if value is not None and value < 1:
            raise ConfigError(f"{key}: expected 1 or more, found {value}")
    if config.codec not in COMPRESSIONS[config.format]:
        raise ConfigError(
            f"--compression {config.codec} does not go with --format {config.format}, "
            f"which takes {', '.join(COMPRESSIONS[config.format])}"
        )

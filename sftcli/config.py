"""Config: every option that changes the bytes of the output, from a YAML file and from flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from sftcli.conversation import TrainOn, TrainOnEos
from sftcli.errors import ConfigError
from sftcli.familiar import NAMES
from sftcli.profiles import PROFILES
from sftcli.yamlfile import OPTIONS, check_keys, convert, load_yaml, place_of_key, underscored, with_lists

COMPRESSIONS = {
    "parquet": ("zstd", "snappy", "lz4", "gzip", "none"),
    "arrow": ("none", "lz4", "zstd"),
}


_PARTED = ("columns", "select", "ignore")  # lists that one text may name, with commas


def codecs_of(format_: str) -> tuple[str, ...]:
    """The compressions that a format takes, the default one first; bare arrays are never compressed."""
    return COMPRESSIONS.get(format_, ("none",))


RecordFormat = Literal[
    "auto", "alpaca", "prompt_completion", "messages", "sharegpt", "segments", "text", "fields"
]


class SourceOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a config's `sources`: its inputs, and how they are read where that is not the config's own.

    `max_records`: only so many of its records are read. `repeat`: how often each row stands. `weight`: its
    share of all rows, beside the other sources' weights; `repeat` is then the most that a row may stand.
    """

    inputs: list[str]
    name: str | None = None
    max_records: int | None = None
    repeat: float = 1.0
    weight: float | None = None
    record_format: RecordFormat | UnsetType = UNSET
    field: dict[str, str] | UnsetType = UNSET
    template: str | UnsetType | None = UNSET
    template_args: dict[str, Any] | UnsetType = UNSET
    spans: Literal["auto", "derived", "marks"] | UnsetType = UNSET
    injected: Literal["train", "mask"] | UnsetType = UNSET
    system: str | UnsetType | None = UNSET
    train_on: TrainOn | UnsetType = UNSET
    train_on_eos: TrainOnEos | UnsetType = UNSET


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run does. The field names are the YAML keys and, with dashes, the flags.

    `template` None means the tokenizer's own chat template or, where it has none, the prompt
    template that goes with the record format. `template_args`, `spans` and `injected` are for Jinja
    chat templates (see ChatTemplate). `select` and `ignore` name the rules that are on beside the
    errors of the stages. `compression` None means the format's default. `loss_weight` is the weight
    of a role's tokens. `truncation_side` is the end of a prompt that is cut off (`truncation: prompt`).
    `pad` is none, max-length or multiple-of:N. `columns` and `keep` add to those of the layout: `keep`
    names fields of the records. `sources` stand in the place of `inputs`. `val_size` is a share such as
    1%, or a number of rows. `dedup` is none, exact, prompt, near or near:N.
    `max_bad`, a number or a share of the records such as 1%, is how many bad ones may be left out.
    `split_size` are the input bytes that become one shard; `num_proc` processes do one after another.
    """

    inputs: list[str] = []
    sources: list[SourceOptions] = []
    output: str | None = None
    tokenizer: str | None = None
    template: str | None = None
    template_args: dict[str, Any] = {}
    spans: Literal["auto", "derived", "marks"] = "auto"
    injected: Literal["train", "mask"] = "train"
    record_format: RecordFormat = "auto"
    field: dict[str, str] = {}
    system: str | None = None
    train_on: TrainOn = "assistant"
    train_on_eos: TrainOnEos = "turn"
    loss_weight: dict[str, float] = {}
    max_length: int | None = None
    truncation: Literal["drop", "error", "right", "left", "turns", "prompt"] = "drop"
    truncation_side: Literal["left", "right"] | None = None
    min_trained: int = 1
    packing: Literal["none", "bfd", "wrapped"] = "none"
    pad: str = "none"
    padding_side: Literal["left", "right"] = "right"
    layout: Literal["causal", "shifted", "seq2seq", "steps"] = "causal"
    labels_dtype: Literal["int32", "int64"] = "int32"
    columns: list[Literal["length", "source", "turn_ids", "loss_mask"]] = []
    keep: list[str] = []
    profile: Literal["trl", "axolotl", "llama-factory", "megatron", "skyrl", "olmo"] | None = None
    val_size: str | int | None = None
    shuffle: bool = False
    seed: int = 0
    dedup: str = "none"
    limit: int | None = None
    on_error: Literal["fail", "skip", "quarantine"] = "fail"
    max_bad: int | str | None = None
    select: list[str] = []
    ignore: list[str] = []
    format: Literal["parquet", "arrow", "npy"] = "parquet"
    compression: Literal["zstd", "snappy", "lz4", "gzip", "none"] | None = None
    add_special_tokens: list[str] = []
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    sep_token: str | None = None
    encoder: Literal["auto", "fastokens", "tokenizers"] = "auto"
    split_size: int | str = "128MiB"
    num_proc: int | Literal["auto"] = "auto"

    @property
    def longest_record(self) -> int | None:
        """The most tokens that a record may have; None where rows are cut from the records joined."""
        return None if self.packing == "wrapped" else self.max_length

    @property
    def codec(self) -> str:
        """The compression in force."""
        return self.compression or codecs_of(self.format)[0]


def _refuse_keys_of_the_gate(data: Mapping[str, Any], path: str) -> None:
    """Raise ConfigError for a key that only `validate` reads."""
    unknown = [key for key in data if key not in Config.__struct_fields__ and key not in NAMES]
    if not unknown:
        return
    from sftcli.validate.settings import Settings  # which most runs need not load

    for key in unknown:
        if key in Settings.__struct_fields__:
            place = place_of_key(path, key)
            raise ConfigError(
                f"{place}: {key} is read by `sftcli validate` alone; give it a config of its own"
            )


def inputs_of(config: Config) -> list[str]:
    """All inputs that a config names, of whatever source."""
    return [*config.inputs, *(written for source in config.sources for written in source.inputs)]


def load_config(path: str | None, flags: Mapping[str, Any]) -> Config:
    """The YAML file's values under the flags' (a flag that is None, or empty, was not given).

    Raises ConfigError that names the file or flag, the key, and the nearest known one.
    """
    data: dict[str, Any] = {}
    if path is not None:
        data = with_pad(underscored(load_yaml(Path(path)), path), path)
        _refuse_keys_of_the_gate(data, path)
        check_keys(data, Config.__struct_fields__, path, ConfigError, listed_by="sftcli prepare --help")
        if "sources" in data:
            data["sources"] = _source_keys(data["sources"], path)
        data = checked(data, path)
    data |= {key: value for key, value in flags.items() if value not in (None, (), [], {})}
    reader = data.get("profile")
    if isinstance(reader, str) and reader in PROFILES:
        data.setdefault("format", PROFILES[reader].formats[0])
    from sftcli.config_checks import check

    config = convert(data, Config, OPTIONS)
    check(config)
    return config


def checked(data: dict[str, Any], where: str) -> dict[str, Any]:
    """A file's values as a Config takes them, `where` being the file.

    Raises ConfigError for what is of another type than its key's, with its place.
    """
    data = with_lists(data, Config, commas=_PARTED)
    share = data.get("val_size")
    if isinstance(share, float):
        data["val_size"] = str(share)  # which the check of its text refuses, with what was meant
    convert(data, Config, where)
    return data


def with_pad(data: dict[str, Any], path: str) -> dict[str, Any]:
    """`pad_to_multiple_of: N` as the value of `pad`. Raises ConfigError where the two contradict."""
    multiple = data.pop("pad_to_multiple_of", None)
    if multiple is None:
        return data
    if type(multiple) is not int or multiple < 1:
        place = place_of_key(path, "pad_to_multiple_of")
        raise ConfigError(f"{place}: pad_to_multiple_of: expected a whole number of 1 or more")
    pad = f"multiple-of:{multiple}"
    if data.get("pad", pad) != pad:
        place = place_of_key(path, "pad_to_multiple_of")
        raise ConfigError(
            f"{place}: pad_to_multiple_of: {multiple} does not go with pad: {data['pad']}; "
            "leave one of the two out"
        )
    return {**data, "pad": pad}


def _source_keys(sources: object, path: str) -> object:
    """The sources of a file, by their names in code.

    Raises ConfigError for what one of them may not be, with the key's own place.
    """
    if not isinstance(sources, list):
        return sources
    found = [underscored(source, path) if isinstance(source, dict) else source for source in sources]
    for number, source in enumerate(found):
        if isinstance(source, dict):
            here = f"sources[{number}]."
            check_keys(source, SourceOptions.__struct_fields__, path, ConfigError, here)
            found[number] = with_lists(source, SourceOptions)
            convert(found[number], SourceOptions, path, inside=here)
    return found

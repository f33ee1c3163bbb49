"""A manifest -> the layout that it says the shards of its folder have."""

from pathlib import Path
from typing import Any

import msgspec

from sftcli.config import Config
from sftcli.errors import ConfigError, EnvironmentFault, OutputError
from sftcli.layout import Layout, layout_of
from sftcli.layout.pad import Padding
from sftcli.layout_checks import multiple_of
from sftcli.manifest import MANIFEST
from sftcli.prepared import Facts

# Of a config, what says which columns there are; folders of before have not all of these.
_OPTIONS = (
    *("format", "layout", "labels_dtype", "columns", "keep", "profile", "loss_weight"),
    *("packing", "max_length", "pad", "padding_side"),
)
# The types that a record's own field may have.
_KEPT = ("string", "int64", "double", "bool")


def layout_in(folder: Path, facts: Facts) -> Layout:
    """The layout of a folder's shards.

    A manifest names the fields of the records that went along, and not their types: those are the
    first shard's. Raises OutputError for a config that can be none.
    """
    config = config_in(folder, facts)
    types = _types_of(folder, facts, config)
    try:
        return layout_of(config, kept=types, vocabulary=facts.tokenizer.size, padding=_padding(config))
    except ConfigError as problem:
        raise _no_config(folder, problem) from None


def config_in(folder: Path, facts: Facts) -> Config:
    """Of the config that made the folder, what says which columns there are; the rest is as by default."""
    options: dict[str, Any] = {name: facts.config[name] for name in _OPTIONS if name in facts.config}
    try:
        return msgspec.convert(options, Config)
    except msgspec.ValidationError as problem:
        raise _no_config(folder, problem) from None


def _no_config(folder: Path, problem: Exception) -> OutputError:
    return OutputError(
        f"{folder / MANIFEST}: its config is none of this version of sftcli: {problem}; take the version "
        "that made it"
    )


def _padding(config: Config) -> Padding | None:
    """How long padded rows are; with which token is not of interest."""
    if config.pad == "none":
        return None
    if config.pad == "max-length":
        return Padding(-1, config.padding_side, length=config.max_length)
    return Padding(-1, config.padding_side, multiple=max(multiple_of(config.pad), 1))


def _types_of(folder: Path, facts: Facts, config: Config) -> dict[str, str]:
    """The Arrow types of the records' own fields; text where that cannot be known."""
    from sftcli.view.shards import Shard

    types = dict.fromkeys(config.keep, "string")
    if not types or not facts.shards:
        return types
    try:
        own = Shard(folder / facts.shards[0].file).types
    except EnvironmentFault:  # which is told of the shard when it is read
        return types
    for name in types:
        found = str(own.get(name, "")).removesuffix(">").rpartition(": ")[2]
        types[name] = found if found in _KEPT else "string"
    return types

"""Config -> Layout."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sftcli.config import Config
from sftcli.errors import TokenizerError
from sftcli.layout.laid import Kind
from sftcli.layout.layout import Layout
from sftcli.layout.pad import Padding
from sftcli.layout_checks import multiple_of
from sftcli.profiles import PROFILES
from sftcli.tokenizer import Tokenizer

if TYPE_CHECKING:
    from sftcli.job import Job

_ASKED = ("loss_mask", "turn_ids", "length", "source")  # by --columns, in this order


def layout_of(
    config: Config, *, kept: Mapping[str, str], vocabulary: int, padding: Padding | None = None
) -> Layout:
    """The layout that a config asks for.

    `kept` are the Arrow types of the fields of the records that go along, `vocabulary` is how many ids
    the tokenizer has. `padding` is None where only names and types are of interest.
    """
    packed = config.packing != "none"
    names, kind, types = _plain(config, packed) if config.profile is None else _profiled(config, packed)
    names = (*names, *(name for name in _ASKED if name in config.columns), *kept)
    if config.labels_dtype == "int64":
        types["labels"] = "int64"
    if config.format == "npy":
        types["input_ids"] = np.min_scalar_type(max(vocabulary - 1, 0)).name
    return Layout(names, kind, packed, tuple(kept), {**types, **kept}, padding)


def written_layout(job: "Job") -> Layout:
    """The layout of what a job writes. Raises TokenizerError where there is nothing to pad with."""
    config, tokenizer = job.config, job.tokenizer
    return layout_of(config, kept=job.keep, vocabulary=tokenizer.size, padding=_padding(config, tokenizer))


def _plain(config: Config, packed: bool) -> tuple[tuple[str, ...], Kind, dict[str, str]]:
    optional: dict[str, bool] = {
        "position_ids": packed,
        "seq_lengths": packed,
        "loss_weights": bool(config.loss_weight),
    }
    there = (name for name, is_there in optional.items() if is_there)
    return ("input_ids", "attention_mask", "labels", *there), config.layout, {}


def _profiled(config: Config, packed: bool) -> tuple[tuple[str, ...], Kind, dict[str, str]]:
    profile = PROFILES[config.profile or ""]
    return (profile.packed_columns if packed else profile.columns), profile.targets, dict(profile.types)


def _padding(config: Config, tokenizer: Tokenizer) -> Padding | None:
    if config.pad == "none":
        return None
    text = tokenizer.specials["pad"] or tokenizer.specials["eos"]
    token = tokenizer.control_tokens.get(text) if text else None
    if token is None:
        raise TokenizerError(
            f"--pad: tokenizer {tokenizer.name!r} has neither a pad token nor an eos token; name one with "
            "--pad-token"
        )
    if config.pad == "max-length":
        return Padding(token.id, config.padding_side, length=config.max_length)
    return Padding(token.id, config.padding_side, multiple=multiple_of(config.pad))

"""Options that cannot work, alone or together: each is a ConfigError that says what to do."""

import math
from collections.abc import Callable
from typing import get_args

from sftcli import layout_checks
from sftcli.config import Config, codecs_of
from sftcli.conversation import MAX_WEIGHT, MIN_WEIGHT, WEIGHTS, Role
from sftcli.errors import ConfigError
from sftcli.layout_checks import MOST_TOKENS
from sftcli.plan import bytes_of
from sftcli.yamlfile import nearest

# What trainers know by name, and what layouts, packing and profiles may add to it.
_COLUMNS = (
    "input_ids",
    "attention_mask",
    "labels",
    "position_ids",
    "seq_lengths",
    "seq_start_id",
    "loss_mask",
    "loss_weights",
    "turn_ids",
)
_MOST_REPEATS = 10_000
# What trainers and formats of records call the roles.
_ROLES = {
    **dict.fromkeys(("prompt", "instruction", "input", "human"), "; the prompt is 'user'"),
    **dict.fromkeys(("completion", "response", "output", "gpt"), "; the answer is 'assistant'"),
}


def check(config: Config) -> None:
    """Raise ConfigError for the first thing that is wrong."""
    for one in _CHECKS:
        one(config)


def _rules(config: Config) -> None:
    if config.select or config.ignore:
        from sftcli.rules.catalogue import selected

        selected(config.select, (), config.ignore)


def _numbers(config: Config) -> None:
    for key in ("max_length", "limit", "min_trained"):
        value = getattr(config, key)
        if value is not None and value < 1:
            raise ConfigError(f"{key}: expected 1 or more, found {value}")
    if config.max_length is not None and config.max_length > MOST_TOKENS:
        raise ConfigError(f"max_length: expected at most {MOST_TOKENS:,} tokens, found {config.max_length:,}")


def _work(config: Config) -> None:
    bytes_of(config.split_size)
    if config.num_proc != "auto" and config.num_proc < 1:
        raise ConfigError(f"num_proc: expected 1 or more, or auto, found {config.num_proc}")
    if config.max_bad is not None:
        from sftcli.validate.settings import parse_limit

        parse_limit(config.max_bad, "max_bad")


def _truncation(config: Config) -> None:
    if config.truncation != "drop" and config.max_length is None:
        raise ConfigError(
            f"--truncation {config.truncation}: says what becomes of rows over --max-length, and none is "
            "given; add --max-length N"
        )
    if config.truncation_side is not None and config.truncation != "prompt":
        raise ConfigError(
            f"--truncation-side {config.truncation_side}: is the end of a prompt that is cut off; it goes "
            "with --truncation prompt alone (--truncation left keeps the end of the whole row)"
        )


def _compression(config: Config) -> None:
    if config.codec not in codecs_of(config.format):
        raise ConfigError(
            f"--compression {config.codec} does not go with --format {config.format}, "
            f"which takes {', '.join(codecs_of(config.format))}"
        )


def _sources(config: Config) -> None:
    if config.sources and config.inputs:
        raise ConfigError(
            f"inputs: {config.inputs[0]} is given beside `sources`; make it a source of its own, or leave "
            "the config with the sources out"
        )
    weighted = [source.weight is not None for source in config.sources]
    for number, source in enumerate(config.sources):
        here = f"sources[{number}]"
        if not source.inputs:
            raise ConfigError(f"{here}.inputs: names no file")
        if source.max_records is not None and source.max_records < 1:
            raise ConfigError(f"{here}.max_records: expected 1 or more, found {source.max_records}")
        if not 1 <= source.repeat < math.inf:
            raise ConfigError(
                f"{here}.repeat: expected 1 or more, found {source.repeat:g}; "
                "to take less of a source, give all sources a weight"
            )
        if source.repeat > _MOST_REPEATS:
            raise ConfigError(f"{here}.repeat: expected at most {_MOST_REPEATS:,}, found {source.repeat:g}")
        if source.weight is not None and not 0 < source.weight < math.inf:
            raise ConfigError(f"{here}.weight: expected a number above 0, found {source.weight:g}")
        if source.weight is None and any(weighted):
            raise ConfigError(
                f"{here}.weight: is missing; a weight is a share of all rows, so each source has one"
            )


def _validation(config: Config) -> None:
    from sftcli.arrange.asked import validation_asked

    validation_asked(config)


def _dedup(config: Config) -> None:
    from sftcli.arrange.asked import near_threshold

    near_threshold(config)


def _seed(config: Config) -> None:
    if config.seed < 0:
        raise ConfigError(f"seed: expected 0 or more, found {config.seed}")
    if config.seed != 0 and not config.shuffle:
        raise ConfigError(f"--seed {config.seed}: is for a random order; add --shuffle, or leave it out")


def _packing(config: Config) -> None:
    if config.packing == "none":
        return
    if config.max_length is None:
        raise ConfigError(
            f"--packing {config.packing}: rows of how many tokens? Pass --max-length N, such as the "
            "model's own"
        )
    if config.layout in ("seq2seq", "steps"):
        raise ConfigError(
            f"--packing {config.packing} does not go with --layout {config.layout}, whose rows hold one "
            "record each; leave one of the two out"
        )
    if config.packing == "wrapped" and config.truncation != "drop":
        raise ConfigError(
            f"--packing wrapped does not go with --truncation {config.truncation}: it joins all records and "
            "cuts them into rows, so that none is too long; leave --truncation out, or take --packing bfd"
        )


def _loss_weight(config: Config) -> None:
    for role, weight in config.loss_weight.items():
        if role not in get_args(Role):
            hint = _ROLES.get(role) or nearest(role, get_args(Role))
            raise ConfigError(f"loss_weight: unknown role {role!r}{hint}")
        if weight != 0 and not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            raise ConfigError(f"loss_weight: {role}: expected {WEIGHTS}, found {weight:g}")


def _keep(config: Config) -> None:
    taken = {*_COLUMNS, *config.columns}
    for number, name in enumerate(config.keep):
        if name in taken:
            raise ConfigError(
                f"keep: {name}: the rows have a column of that name already; rename the field in the data"
            )
        if name in config.keep[:number]:
            raise ConfigError(f"keep: {name}: given twice")


_CHECKS: tuple[Callable[[Config], None], ...] = (
    _rules,
    _numbers,
    _work,
    _compression,
    _sources,
    _validation,
    _dedup,
    _seed,
    _packing,
    _truncation,
    _loss_weight,
    _keep,
    *layout_checks.CHECKS,
)

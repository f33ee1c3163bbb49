"""Options of columns, layouts, padding and profiles that contradict one another."""

from sftcli.config import Config
from sftcli.errors import ConfigError
from sftcli.profiles import PROFILES

MOST_TOKENS = 1 << 30  # in a row: lists are counted in 32 bits


def padding(config: Config) -> None:
    """How much is padded is known, and rows are padded where nothing else pads them."""
    if config.pad == "none":
        if config.padding_side == "left":
            raise ConfigError(
                "--padding-side left: nothing is padded; add --pad max-length or --pad multiple-of:N"
            )
        return
    if config.pad != "max-length" and multiple_of(config.pad) < 1:
        raise ConfigError(
            f"pad: {config.pad!r} is none of none, max-length and multiple-of:N, where N is 1 or more, "
            "such as multiple-of:64"
        )
    if multiple_of(config.pad) > MOST_TOKENS:
        raise ConfigError(f"pad: {config.pad}: expected at most {MOST_TOKENS:,} tokens")
    if config.pad == "max-length" and config.max_length is None:
        raise ConfigError("--pad max-length: to how many tokens? Pass --max-length N")
    if config.layout in ("seq2seq", "steps"):
        raise ConfigError(
            f"--pad {config.pad} does not go with --layout {config.layout}: what is read and what is "
            "answered are of other lengths, which its data collator pads; leave --pad out"
        )


def multiple_of(pad: str) -> int:
    """The N of multiple-of:N, 0 where it is no such text."""
    name, _, number = pad.partition(":")
    return int(number) if name == "multiple-of" and number.isascii() and number.isdigit() else 0


def columns(config: Config) -> None:
    """A column stands once."""
    for number, name in enumerate(config.columns):
        if name in config.columns[:number]:
            raise ConfigError(f"columns: {name}: given twice")


def profile(config: Config) -> None:
    """A profile says all of the columns and files: what says otherwise is named with it."""
    if config.profile is None:
        if config.format == "npy":
            raise ConfigError("format: npy is written for OLMo-core alone: pass --profile olmo")
        return
    wanted = PROFILES[config.profile]
    where = f"--profile {config.profile}"
    if config.format not in wanted.formats:
        raise ConfigError(
            f"--format {config.format} does not go with {where}, which is {' or '.join(wanted.formats)}; "
            "leave --format out"
        )
    if config.packing != "none" and not wanted.packed_columns:
        raise ConfigError(
            f"--packing {config.packing} does not go with {where}: {wanted.not_packed}; leave --packing out"
        )
    named = ", ".join(wanted.columns)
    more = {
        f"--columns {','.join(config.columns)}": config.columns,
        f"--keep {','.join(config.keep)}": config.keep,
    }
    for flag, names in more.items():
        if names and not wanted.drops_columns:
            raise ConfigError(
                f"{flag} does not go with {where}, whose columns are {named} and no others; leave one of the "
                "two out, or prepare a second folder with it and without the profile: its rows stand in the "
                "same order"
            )
    extra = {
        f"--layout {config.layout}": config.layout != "causal",
        "--loss-weight": bool(config.loss_weight),
        f"--pad {config.pad}": config.pad != "none" and "attention_mask" not in wanted.columns,
        f"--labels-dtype {config.labels_dtype}": config.labels_dtype != "int32"
        and "labels" not in wanted.columns,
    }
    for flag, contradicts in extra.items():
        if contradicts:
            raise ConfigError(
                f"{flag} does not go with {where}, whose columns are {named} and no others; leave one of the "
                "two out"
            )


CHECKS = (padding, columns, profile)

"""What a config asks of the order and the choice of rows."""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from sftcli.config import Config
from sftcli.errors import ConfigError
from sftcli.yamlfile import close_to

SIDES = TRAIN, VALIDATION = "train", "validation"
DEDUPS = ("none", "exact", "prompt", "near")
_NEAR = Fraction(4, 5)  # how much alike near duplicates are where nothing is said
_LEAST_NEAR = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class ValidationAsked:
    """How much goes into `validation`: a share of all prompts, or a number of rows (the other is None)."""

    share: Fraction | None = None
    rows: int | None = None


def validation_asked(config: Config) -> ValidationAsked | None:
    """What `val_size` says. Raises ConfigError where it is neither a share nor a number."""
    given = config.val_size
    if given is None:
        return None
    text = str(given)
    share = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text)
    if share and 0 < Fraction(share[1]) < 100:
        return ValidationAsked(share=Fraction(share[1]) / 100)
    if re.fullmatch(r"\d+", text) and int(text) > 0:
        return ValidationAsked(rows=int(text))
    raise ConfigError(
        "val_size: expected a share above 0% and below 100%, such as 1%, or a number of rows, found "
        f"{text!r}{_in_percent(text)}"
    )


def near_threshold(config: Config) -> Fraction | None:
    """From what Jaccard similarity on a record is left out as a near duplicate; None where none are.

    Raises ConfigError where `dedup` is none of its values.
    """
    given = config.dedup
    kind, colon, number = given.partition(":")
    if given in DEDUPS:
        return _NEAR if given == "near" else None
    if kind == "near" and re.fullmatch(r"[01](?:\.\d{1,4})?", number, re.ASCII):
        threshold = Fraction(number)
        if _LEAST_NEAR <= threshold <= 1:
            return threshold
    if kind == "near" and colon:
        percent = _as_share(number)
        hint = f"; did you mean near:{percent}?" if percent else ""
        raise ConfigError(
            "dedup: near:N takes how much alike records are, from 0.5 to 1, such as near:0.9; found "
            f"{given!r}{hint}"
        )
    meant = close_to(given, DEDUPS)
    hint = f"; did you mean {meant!r}?" if meant else ""
    raise ConfigError(f"dedup: expected none, exact, prompt, near, or near:N, found {given!r}{hint}")


def _as_share(text: str) -> str:
    """`90` and `90%` as 0.9; empty where the text is no such number."""
    match = re.fullmatch(r"(\d{2}) ?%?", text, re.ASCII)
    share = Decimal(match[1]) / 100 if match else Decimal(0)
    return f"{share.normalize():f}" if share >= Decimal("0.5") else ""


def _in_percent(text: str) -> str:
    """A hint where a share is written as a number, as other programs take it."""
    match = re.fullmatch(r"0?\.\d+|\d(?:\.\d+)?e-\d+", text, re.ASCII)
    share = Decimal(text) * 100 if match else Decimal(0)
    return f"; did you mean {share.normalize():f}%?" if 0 < share < 100 else ""


def sides(config: Config) -> tuple[str, ...]:
    """The splits that a folder has."""
    return (TRAIN,) if config.val_size is None else SIDES


def needs_prints(config: Config) -> bool:
    """Whether records need fingerprints."""
    return config.val_size is not None or config.dedup != "none" or _mixes(config)


def needs_all_rows(config: Config) -> bool:
    """Whether it hangs on all rows which of them are written, and where, or what is told first."""
    asked = validation_asked(config)
    by_number = asked is not None and asked.rows is not None
    return config.shuffle or config.dedup != "none" or by_number or _mixes(config) or config.layout == "steps"


def _mixes(config: Config) -> bool:
    return any(source.weight is not None or source.repeat != 1 for source in config.sources)

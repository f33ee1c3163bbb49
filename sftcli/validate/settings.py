"""Settings: which rules are on, and how much of what they find is too much."""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from sftcli.config import Config, checked, with_pad
from sftcli.errors import ConfigError, UsageError
from sftcli.plan import STDIN
from sftcli.rules.catalogue import RULES, UNNAMED, canonical, exactness, selected
from sftcli.validate.overlap import OVERLAP
from sftcli.validate.tally import Limits
from sftcli.yamlfile import OPTIONS, check_keys, convert, load_yaml, read_small, underscored, with_lists

_PYPROJECT = "pyproject.toml"
_TABLE = "[tool.sftcli]"
_LONGEST_LINE = 20_000  # a key of many parts takes tomllib the square of their number
LISTED = 1000


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate asks for. The field names are the keys of a config and, with dashes, the flags.

    `max_bad` and the values of `fail_over` are numbers, or shares of the records such as "1%".
    """

    select: list[str] = []
    extend_select: list[str] = []
    ignore: list[str] = []
    max_bad: int | str | None = None
    fail_over: dict[str, int | str] = {}
    max_errors: int = LISTED
    strict: bool = False
    against: list[str] = []
    overlap: float = OVERLAP
    vocab_size: int | None = None
    num_proc: int | None = None

    def rules_on(self, *, tokens: bool) -> frozenset[str]:
        """The codes of the rules that run; `tokens`: whether there is a tokenizer.

        Raises UsageError where none of those asked for can run.
        """
        chosen = selected(self.select, self.extend_select, self.ignore)
        on = {code for code in chosen if tokens or not code.startswith("T")}
        on -= set() if self.against else {"D004", "D005"}
        if chosen and not on:
            missing = "--against" if all(code.startswith("D") for code in chosen) else "a tokenizer (-t)"
            raise UsageError(f"--select {','.join(self.select)}: these rules need {missing}")
        if not on:
            raise UsageError("no rule is on; leave some of --ignore out")
        return frozenset(on)

    def limits(self, on: frozenset[str], count_all: bool = False) -> Limits:
        """What is kept of what is found; `count_all`: reading goes on to the end in any case."""
        allowed = self.max_bad is not None or bool(self.fail_over)
        serious = {code for code in on if self.strict or RULES[code].severity == "error"}
        serious -= {code for code in on if self.limit_of(code) is not None}
        stop = None if allowed or count_all else self.max_errors
        return Limits(on, frozenset(serious), self.max_errors, stop)

    def limit_of(self, code: str) -> "Limit | None":
        """The limit of one rule: that of the most exact key of `fail_over` that names it."""
        exact = {key: exactness(canonical(key), RULES[code]) for key in self.fail_over}
        named = [key for key in exact if exact[key] != UNNAMED]
        return (
            parse_limit(self.fail_over[max(named, key=exact.__getitem__)], "--fail-over") if named else None
        )

    def failures(self, counts: Mapping[str, int], bad: int, records: int) -> list[str]:
        """Why the run fails, in words; empty where it does not. `bad`: records that break a rule."""
        found = []
        for code in sorted(counts):
            limit = self.limit_of(code)
            if limit is not None and limit.is_exceeded(counts[code], records):
                found.append(f"{code}: {counts[code]:,} of {records:,} records, over its limit of {limit}")
        most = (
            parse_limit(self.max_bad, "--max-bad") if self.max_bad is not None else Limit(Decimal(0), False)
        )
        if most.is_exceeded(bad, records):
            over = f", over the limit of {most}" if self.max_bad is not None else ""
            found.append(f"{bad:,} of {records:,} records are bad{over}")
        return found


class Limit(msgspec.Struct, frozen=True):
    """How many are allowed: a number, or a share of the records in percent."""

    value: Decimal
    is_share: bool

    def is_exceeded(self, count: int, records: int) -> bool:
        most = Fraction(self.value)  # 0.7% of 1,000 are 7, which 0.7 * 1000 / 100 is not
        return count * 100 > most * records if self.is_share else count > most

    def __str__(self) -> str:
        return f"{self.value:f}{'%' if self.is_share else ''}"


def parse_limit(written: int | str, where: str) -> Limit:
    """10, "10" or "0.5%". Raises ConfigError for anything else."""
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", str(written).strip(), re.ASCII)
    if match is None or Decimal(match[2] or 0) > 100:
        raise ConfigError(f"{where} {written}: expected a number of records, or a share such as 1%")
    return Limit(Decimal(match[1] or match[2]), match[2] is not None)


def load_settings(
    config: str | None, flags: Mapping[str, Any], folder: Path | None = None
) -> tuple[Settings, dict[str, Any]]:
    """The settings, and the options of a Config that stand in the same file.

    They are read from the YAML file `config`, or else from the nearest pyproject.toml at or above
    `folder` (None: the current one) that has a table [tool.sftcli]; `flags` win over both (see
    `_over`). Raises ConfigError that names the file, the key, and the nearest known one.
    """
    if config is not None:
        where = config
        data = underscored(load_yaml(Path(config)), where)
    else:
        where, data = _from_pyproject(folder or Path.cwd())
    own = Settings.__struct_fields__
    data = with_pad(data, where)
    known = (*own, *Config.__struct_fields__)
    check_keys(data, known, where, ConfigError, listed_by="sftcli validate --help")
    mine = {key: value for key, value in data.items() if key in own}
    rest = {key: value for key, value in data.items() if key not in own}
    mine = with_lists(mine, Settings, commas=("select", "extend_select", "ignore"))
    written = convert(mine, Settings, where)
    rest = checked(rest, where)
    limits = _by_rule(written.fail_over, f"{where}: fail_over ")
    limits |= _by_rule(flags.get("fail_over") or {}, "--fail-over ")
    settings = convert(_over(written, {**flags, "fail_over": limits}), Settings, OPTIONS)
    _check(settings)
    return settings, rest


def _over(written: Settings, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file under flags (of which None, False and an empty one were not given).

    `select` stands in for all that the file says of rules. `ignore` and `extend_select` add to it.
    """
    # By identity: 0 and 0.0 equal False, and are values.
    given = {
        key: flag for key, flag in flags.items() if not (flag is None or flag is False or flag in ([], {}))
    }
    merged = msgspec.structs.asdict(written)
    if "select" in given:
        merged |= {"extend_select": [], "ignore": []}
    for key in ("extend_select", "ignore"):
        given[key] = [*merged[key], *given.get(key, [])]
    return merged | given


def _by_rule(limits: Mapping[str, int | str], where: str) -> dict[str, int | str]:
    """Limits by the code, or the beginning of codes, that they are for."""
    found: dict[str, int | str] = {}
    for selector, limit in limits.items():
        if (code := canonical(selector)) in found:
            raise ConfigError(f"{where}{selector}: is {code}, which is given twice")
        found[code] = limit
    return found


def pyprojects(folder: Path | None = None) -> list[str]:
    """The files that are looked at for a table [tool.sftcli] where no config is named."""
    here = folder or Path.cwd()
    return [str(place / _PYPROJECT) for place in (here, *here.parents) if (place / _PYPROJECT).is_file()]


def _from_pyproject(folder: Path) -> tuple[str, dict[str, Any]]:
    """Where the options stand, and what they are; paths among them are relative to the file."""
    for place in (folder, *folder.parents):
        path = place / _PYPROJECT
        if path.is_file():
            table = _table(path)
            if table is not None:
                where = f"{path} {_TABLE}"
                return where, _seen_from_here(underscored(table, where), place)
    return OPTIONS, {}


def _seen_from_here(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same options, their paths as they are from the current folder."""

    def moved(name: Any) -> Any:
        if not isinstance(name, str) or name == STDIN or os.path.isabs(name) or "://" in name:
            return name
        return os.path.relpath(folder / name)

    def moved_where_there(name: Any) -> Any:
        """Of what may be a name of other things too, such as a tokenizer in the hub's cache."""
        return moved(name) if isinstance(name, str) and name and (folder / name).exists() else name

    changed = {}
    for key, value in data.items():
        if key in ("inputs", "against") and isinstance(value, list):
            changed[key] = [moved(name) for name in value]
        elif key in ("tokenizer", "template"):
            changed[key] = moved_where_there(value)
    return data | changed


def _table(path: Path) -> dict[str, Any] | None:
    import tomllib

    raw = read_small(path)
    if max(map(len, raw.split(b"\n"))) > _LONGEST_LINE:
        raise ConfigError(f"{path}: has a line of over {_LONGEST_LINE:,} bytes, which is not read")
    try:
        tool = tomllib.loads(raw.decode()).get("tool", {})
    except (ValueError, RecursionError) as problem:  # of what is no TOML or UTF-8, or a number without end
        raise ConfigError(f"{path}: not TOML: {problem}") from None
    table = tool.get("sftcli") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.sftcli: expected a table {_TABLE}")
    return table


def _check(settings: Settings) -> None:
    if settings.max_bad is not None:
        parse_limit(settings.max_bad, "--max-bad")
    for selector, written in settings.fail_over.items():
        parse_limit(written, f"--fail-over {selector}")
    for key in ("max_errors", "vocab_size", "num_proc"):
        value = getattr(settings, key)
        if value is not None and value < 1:
            raise ConfigError(f"{key}: expected 1 or more, found {value}")
    if not 0 <= settings.overlap <= 1:
        raise ConfigError(f"overlap: expected a share from 0 to 1, found {settings.overlap}")

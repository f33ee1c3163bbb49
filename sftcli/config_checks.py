"""Options that cannot work, alone or together: each is a ConfigError that says what to do."""

from collections.abc import Callable

from sftcli.config import COMPRESSIONS, Config
from sftcli.errors import ConfigError


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


def _compression(config: Config) -> None:
    if config.codec not in COMPRESSIONS[config.format]:
        raise ConfigError(
            f"--compression {config.codec} does not go with --format {config.format}, "
            f"which takes {', '.join(COMPRESSIONS[config.format])}"
        )


_CHECKS: tuple[Callable[[Config], None], ...] = (_rules, _numbers, _compression)

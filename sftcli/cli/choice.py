"""Options that take one of few texts, or a number."""

from collections.abc import Sequence
from typing import Any

import click


class Choice(click.Choice):  # type: ignore[type-arg]  # older click has no parameter there
    """click's, which also says what was likely meant by a text that it does not take."""

    def __init__(self, choices: Sequence[str]) -> None:
        super().__init__(choices)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as problem:
            from sftcli.yamlfile import close_to

            near = close_to(str(value), map(str, self.choices))
            if near is None:
                raise
            self.fail(f"{problem.message.rstrip('.')}; did you mean {near!r}?", param, ctx)


class NumberOrAuto(click.ParamType):  # type: ignore[type-arg]  # as above
    """A whole number from 1 on, or auto."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if isinstance(value, int) or value == "auto":
            return "auto" if value == "auto" else int(value)
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is no number from 1 on; take one, or auto", param, ctx)
        return int(value)

"""An option that takes one of few texts."""

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

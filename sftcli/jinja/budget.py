"""What one render may use: a hostile template ends in an error within seconds, always at the same place."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

MAX_STEPS = 200_000  # loop turns, calls and filters of one render, before what its data adds
MAX_CHARS = 1 << 26  # text that one render lays down, all intermediate results included
MAX_NUMBER = 10_000  # a width, indent or count beyond this is an attack, not a layout
MAX_BITS = 4_096
_LARGE_NUMBER = re.compile(r"\d{5,}")


class LimitError(TemplateRuntimeError):
    """The template uses more than a layout needs."""


class Budget:
    """What is left of a render's steps and characters."""

    def __init__(self) -> None:
        self.steps = self.chars = 0

    def refill(self, messages: int, chars: int) -> None:
        """For a conversation of this size: templates may look from each message at each other one."""
        self.steps = MAX_STEPS + 64 * messages * messages + 4 * chars
        self.chars = MAX_CHARS + 64 * chars

    def step(self, count: int = 1) -> None:
        self.steps -= count
        if self.steps < 0:
            raise LimitError("the template takes too many steps: it seems to loop without end")

    def lay_down(self, chars: int) -> None:
        self.chars -= chars
        if self.chars < 0:
            raise LimitError("the template writes too much text")

    def loop(self, values: Any) -> Any:
        """What a `for` goes over, its turns counted."""
        if hasattr(values, "__len__"):
            self.step(1 + len(values))
            return values
        return self._counted(values) if hasattr(values, "__iter__") else values

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.step()
            yield value

    def filter(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose work and result are counted, and whose numbers are those of a layout."""

        @functools.wraps(function)
        def run(*values: Any, **named: Any) -> Any:
            check_numbers((*values, *named.values()))
            self.step(1 + sum(len(value) >> 6 for value in values if isinstance(value, (str, list, tuple))))
            result = function(*values, **named)
            if isinstance(result, str):
                self.lay_down(len(result))
            return result

        return run


def check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise LimitError(f"a width or count of {value} passes the limit of {MAX_NUMBER}")


def check_format(template: str, values: Iterable[Any]) -> None:
    """No width in a format string, or given to it, is beyond what a layout needs."""
    if _LARGE_NUMBER.search(template):
        raise LimitError(f"a number in a format string passes the limit of {MAX_NUMBER}")
    check_numbers(values)


def check_operator(operator: str, left: Any, right: Any) -> None:
    """No `*`, `**`, `%` or `+` makes a value of a size that a layout does not need."""
    if operator == "%":
        if isinstance(left, str):
            flat = right if isinstance(right, tuple) else (right,)
            check_format(left, right.values() if isinstance(right, Mapping) else flat)
    elif isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise LimitError("a number passes the limit")
    elif operator == "*" and (isinstance(left, int) or isinstance(right, int)):
        sized, count = (right, left) if isinstance(left, int) else (left, right)
        if hasattr(sized, "__len__") and len(sized) * count > MAX_CHARS >> 2:
            raise LimitError("a repeated text or list passes the limit")
    elif (
        operator == "+"
        and isinstance(left, (list, tuple))
        and isinstance(right, (list, tuple))
        and len(left) + len(right) > MAX_CHARS >> 6
    ):
        raise LimitError("a list passes the limit")

"""What one render may use: a hostile template ends in an error within seconds, always at the same place."""

import functools
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from jinja2.exceptions import TemplateRuntimeError
from jinja2.utils import Namespace

from sftcli.jinja.growth import BOUNDS, WIDEST, formatted, method_bound

MAX_STEPS = 200_000  # loop turns, calls and filters of one render, before what its data adds
MAX_CHARS = 1 << 26  # text that one render lays down, all intermediate results included
MAX_BITS = 4_096
MAX_DEPTH = 64  # lists in lists


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

    def make_room(self, chars: int) -> None:
        """To be asked before a text of so many characters is made."""
        if chars > self.chars:
            raise LimitError("the template writes too much text")

    def weigh(self, value: Any) -> int:
        """How long a value is when it is written out, in characters at most, and roughly.

        A list that holds another one twice is gone through twice, as by whatever writes, compares or
        hashes it: a few lines of a template make a list that no time is enough for.
        """
        if isinstance(value, str):
            self.step(len(value) >> 6)
            return len(value)
        chars = 0
        left = [(value, 0)]
        while left:
            part, depth = left.pop()
            if isinstance(part, str):
                self.step(len(part) >> 6)
                chars += len(part) + 4
                continue
            chars += 24 if not isinstance(part, int) else 4 + part.bit_length() // 3
            if isinstance(part, range):
                self.step(len(part) >> 3)
            inner = _parts(part)
            if inner:
                if depth == MAX_DEPTH:
                    raise LimitError(f"lists are nested in lists more than {MAX_DEPTH} times")
                self.step(len(inner))
                left.extend((one, depth + 1) for one in inner)
        return chars

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

    def compared(self, value: Any) -> Any:
        """A value that another one is compared with, or that is looked up: gone through, or hashed."""
        kind = type(value)
        if kind is not int and kind is not bool and value is not None:
            self.weigh(value)
        return value

    def searched(self, value: Any) -> Any:
        """What `in` looks through; a dict has its places for that."""
        return value if isinstance(value, dict) else self.compared(value)

    def cut(self, value: Any) -> Any:
        """What a slice is taken from, which may be a copy of all of it."""
        if hasattr(value, "__len__"):
            self.step(1 + (len(value) >> 6))
        return value

    def test(self, function: Callable[..., bool]) -> Callable[..., bool]:
        """A test that compares two values."""

        @functools.wraps(function)
        def run(*values: Any) -> bool:
            for value in values:
                self.compared(value)
            return function(*values)

        return run

    def format(self, template: str, values: Iterable[Any], mark: str) -> None:
        """To be asked before values are laid into a format string, at each `mark` of it."""
        values = tuple(values)
        check_numbers(values)
        self.make_room(formatted(template, mark, sum(map(self.weigh, values))))

    def method(self, owner: str, name: str, values: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """To be asked before a method of a text is called; returns the values to call it with."""
        if name == "join":
            values = tuple(map(self._whole, values))
        given = (*values, *named.values())
        check_numbers(given)
        self.step(len(owner) >> 6)
        weight = len(owner) + sum(map(self.weigh, given))
        self.make_room(method_bound(name, owner, given, weight))
        if name in ("split", "rsplit", "splitlines"):
            # As many parts as there are separators; of white space at most one in two characters.
            between = next((value for value in given if isinstance(value, str) and value), None)
            self.step(str.count(owner, between) if between else len(owner) >> 1)
        return values

    def _counted_one_by_one(self, value: Any) -> Any:
        return self._counted(value) if isinstance(value, Iterator) else value

    def _whole(self, value: Any) -> Any:
        """What comes one by one, as a list, so that it can be weighed."""
        return list(self._counted(value)) if isinstance(value, Iterator) else value

    def filter(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose work and result are counted, and whose numbers are those of a layout."""
        visits, reads_letters = name in VISIT, name in READ_LETTERS
        looks_only = visits or name in LOOK_ONLY
        bound = BOUNDS.get(name)

        @functools.wraps(function)
        def run(*values: Any, **named: Any) -> Any:
            values = tuple(map(self._counted_one_by_one if looks_only else self._whole, values))
            given = (*values, *named.values()) if named else values
            check_numbers(given)
            self.step()
            weight = 0
            for value in given:
                if isinstance(value, str):
                    weight += len(value)
                    self.step(len(value) if reads_letters else len(value) >> 6)
                elif looks_only:
                    self.step(len(value) if visits and hasattr(value, "__len__") else 1)
                else:
                    weight += self.weigh(value)
            if bound is not None:
                self.make_room(bound(values, named, weight))
            result = function(*values, **named)
            if isinstance(result, str):
                self.lay_down(len(result))
            return result

        return run


# Filters that look at one of the things a list holds, and those that look at each, but not into any.
LOOK_ONLY = frozenset(("attr", "count", "d", "default", "first", "items", "last", "length", "reverse"))
VISIT = frozenset(
    ("batch", "dictsort", "list", "map", "reject", "rejectattr", "select", "selectattr", "slice")
)
# Filters that go through a text letter by letter, or slowly.
READ_LETTERS = frozenset(
    [
        *("batch", "groupby", "join", "list", "map", "max", "min", "pprint", "reject", "select", "slice"),
        *("sort", "striptags", "title", "unique", "urlize", "wordcount", "wordwrap", "xmlattr"),
    ]
)


# Tests that look through both of their values.
COMPARING = frozenset(
    [
        *("!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le"),
        *("lessthan", "lower", "lt", "ne", "upper"),
    ]
)


def _parts(value: Any) -> list[Any]:
    """What a list, a dict or the like holds."""
    if isinstance(value, (list, tuple, KeysView, ValuesView)):
        return list(value)
    if isinstance(value, (dict, ItemsView)):
        pairs = value.items() if isinstance(value, dict) else value
        return [part for pair in pairs for part in pair]
    if isinstance(value, Namespace):
        return list(object.__getattribute__(value, "_Namespace__attrs").values())
    return []


def check_numbers(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int) and abs(value) > WIDEST:
            raise LimitError(f"a width or count of {value} passes the limit of {WIDEST}")


def check_operator(operator: str, left: Any, right: Any) -> int:
    """No `*`, `**` or `+` makes a value of a size that a layout does not need; returns its steps."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise LimitError("a number passes the limit")
    elif operator == "*" and (isinstance(left, int) or isinstance(right, int)):
        sized, count = (right, left) if isinstance(left, int) else (left, right)
        if hasattr(sized, "__len__"):
            if len(sized) * count > MAX_CHARS >> 2:
                raise LimitError("a repeated text or list passes the limit")
            return max(len(sized) * count, 0) >> 6
    elif operator == "+" and isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        if len(left) + len(right) > MAX_CHARS >> 6:
            raise LimitError("a list passes the limit")
        return (len(left) + len(right)) >> 6
    return 0

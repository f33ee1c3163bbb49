"""How long a text a method or filter would make at most, asked before it makes it.

What a text is made of may be short, and the text itself of any length: `b.replace("x", b)`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sftcli.jinja.tracked import Tracked

ENOUGH = 1 << 22  # what is shorter by a first guess is not looked at closer
WIDEST = 10_000  # a width, indent or count beyond this is an attack, not a layout
_NUMBER = re.compile(r"[0-9]{1,12}")

# The bound of a filter: (its values, those given by name, the length of all of them) -> characters.
Bound = Callable[[tuple[Any, ...], Mapping[str, Any], int], int]


def texts_in(values: Iterable[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def replaced(texts: list[str], weight: int) -> int:
    """Of a text in which one text takes another's place: `texts` are these three."""
    longest = max(map(len, texts), default=0)
    if (weight + 1) * longest <= ENOUGH or len(texts) < 3:
        return (weight + 1) * (longest + 1)
    return weight + str.count(texts[0], texts[1]) * len(texts[2])


def formatted(template: str, mark: str, weight: int) -> int:
    """Of a format string whose places begin with `mark`, each of which may lay down all that is given."""
    places = str.count(template, mark)
    # A width or precision stands in the template, or is a value: `%*d`, `{:{}}`.
    widest = WIDEST if "*" in template or "{" in template else 0
    widest = max([widest, *map(int, _NUMBER.findall(template))]) if places else 0
    return len(template) + places * (weight + widest)


def _replace(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    return replaced(texts_in((*values, *named.values())), weight)


def _join(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    between = named.get("d", values[2] if len(values) > 2 else "")
    parts = values[1] if len(values) > 1 else named.get("value")
    count = len(parts) if isinstance(parts, (str, list, tuple, dict)) else weight
    return weight + count * (len(between) if isinstance(between, str) else 24)


def _indent(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    margin = named.get("width", values[1] if len(values) > 1 else 4)
    width = len(margin) if isinstance(margin, str) else int(margin)
    text = values[0] if values else ""
    if weight * width <= ENOUGH or not isinstance(text, str):
        return weight * (width + 1)
    return weight + (len(str.splitlines(text)) + 1) * width


def _wordwrap(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    return weight * (1 + max(map(len, texts_in((*values[2:], *named.values()))), default=0))


def _tojson(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    beside = [*values[1:], *named.values()]
    widths = [value for value in beside if isinstance(value, int)]
    separators = [text for value in beside if isinstance(value, (list, tuple)) for text in texts_in(value)]
    around = sum(map(len, (*texts_in(beside), *separators)))
    if not around and max(widths, default=0) <= 1:
        return 6 * weight
    parts, depth = _size(values[0] if values else None)
    return 6 * weight + parts * (around + depth * max(around, *widths, 0))


def _size(value: Any) -> tuple[int, int]:
    """How many parts a value has, and how deep they lie."""
    inner = [*value, *value.values()] if isinstance(value, Mapping) else value
    if not isinstance(inner, (list, tuple)):
        return 1, 1
    sizes = [_size(part) for part in inner]
    return 1 + sum(parts for parts, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)


def _sum(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    """Lists are added by copying what there is already at each step."""
    if any(isinstance(value, (list, tuple)) for value in (*values[3:], *named.values())):
        return weight * weight >> 6
    return 0


def _format(values: tuple[Any, ...], named: Mapping[str, Any], weight: int) -> int:
    return formatted(values[0] if values and isinstance(values[0], str) else "%", "%", weight)


BOUNDS: dict[str, Bound] = {
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "sum": _sum,
    "tojson": _tojson,
    "wordwrap": _wordwrap,
}


def method_bound(name: str, owner: str, values: tuple[Any, ...], weight: int) -> int:
    """Of the text that a method of a text makes of it; `weight` is the length of its values."""
    if name == "replace":
        return replaced([str(owner) if not isinstance(owner, Tracked) else owner, *texts_in(values)], weight)
    if name == "join":
        count = len(values[0]) if values and isinstance(values[0], (str, list, tuple, dict)) else 0
        return weight + count * len(owner)
    if name == "translate":
        return len(owner) * (weight + 1)
    if name == "expandtabs":
        return len(owner) + str.count(owner, "\t") * WIDEST
    return 0

"""Jinja's filters over tracked text.

Each filter that lays text out is written again over Tracked. Every other filter runs as it is; where
it makes text out of data, the whole result belongs to that data's message.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import pass_environment
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import make_attrgetter

from sftcli.jinja.formatting import dumps, percent, to_text
from sftcli.jinja.tracked import as_tracked, concat

Filter = Callable[..., Any]


def _tojson(write: Callable[..., str]) -> Filter:
    """The filter as transformers has it: no escaping of HTML, and json.dumps's own options."""

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: Any = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        return write(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    return tojson


plain_tojson = _tojson(json.dumps)


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    return as_tracked(to_text(value)).replace(to_text(old), to_text(new), -1 if count is None else count)


@pass_environment
def _join(environment: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return as_tracked(to_text(d)).join([to_text(item) for item in value])


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    margin = width if isinstance(width, str) else " " * width
    text = concat((to_text(value), "\n"))
    lines = as_tracked(text).splitlines()
    if blank:
        result = as_tracked(concat(("\n", margin))).join(lines)
    else:
        rest = [concat((margin, line)) if line else line for line in lines[1:]]
        result = as_tracked("\n").join([lines[0], *rest]) if lines else ""
    return concat((margin, result)) if first else result


def _format(value: Any, *values: Any, **named: Any) -> str:
    if values and named:
        raise TemplateRuntimeError("can't handle positional and keyword arguments at the same time")
    return percent(to_text(value), named or values)


def _refused(name: str) -> Filter:
    def refuse(*values: Any, **named: Any) -> Any:
        raise TemplateRuntimeError(f"{name!r} gives another result in every run, so it cannot make a dataset")

    return refuse


OWN: dict[str, Filter] = {
    "tojson": _tojson(dumps),
    "replace": _replace,
    "join": _join,
    "indent": _indent,
    "format": _format,
    "string": to_text,
    "safe": to_text,
    "trim": lambda value, chars=None: as_tracked(to_text(value)).strip(chars),
    "upper": lambda value: as_tracked(to_text(value)).upper(),
    "lower": lambda value: as_tracked(to_text(value)).lower(),
    "capitalize": lambda value: as_tracked(to_text(value)).capitalize(),
    "center": lambda value, width=80: as_tracked(to_text(value)).center(width),
    "random": _refused("random"),
}
# What these do to text depends on the text, so their results are compared with Jinja's own on every row.
MARKUP = frozenset(("safe", "e", "escape", "forceescape", "xmlattr", "urlize", "striptags"))
# What writes a text with other letters, as filters and as methods.
CASE = frozenset(("lower", "upper", "title", "capitalize", "swapcase", "casefold"))

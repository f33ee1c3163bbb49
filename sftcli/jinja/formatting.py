"""Text made of values, tracked: str(), `%`, str.format, format specs and JSON.

In each case Python's own result is the truth. What is worked out here is only whose text it is.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from string import Formatter
from typing import Any

from sftcli.jinja.origin import NOBODY, Origin
from sftcli.jinja.tracked import Tracked, UntrackableError, as_tracked, concat, made, runs_of

_SPEC = re.compile(r"(?:(?P<fill>.)?(?P<align>[<>^]))?0?(?P<width>\d*)(?:\.(?P<precision>\d+))?s?", re.DOTALL)
_PERCENT = re.compile(
    r"%(?:\((?P<key>[^)]*)\))?(?P<flags>[#0\- +]*)(?P<width>\*|\d*)"
    r"(?:\.(?P<precision>\*|\d*))?[hlL]?(?P<kind>.)",
    re.DOTALL,
)


def to_text(value: Any) -> str:
    """str(value), tracked where the value holds data."""
    if isinstance(value, str):
        return value
    plain = str(value)
    if isinstance(value, (dict, list, tuple)):
        return _checked(concat(_repr(value)), plain, (value,))
    return plain


def coarse(text: str, values: Iterable[Any]) -> str:
    """A result as a whole attributed to the data that went into it, which must be of one message."""
    if isinstance(text, Tracked):
        return text
    origin = _sole_origin(values)
    return text if origin is None else made(text, ((len(text), origin),))


def _sole_origin(values: Iterable[Any]) -> Origin | None:
    """The one origin of all data in some values, however nested; None where there is no data.

    Raises UntrackableError where it is of several messages.
    """
    found: Origin | None = None
    for origin in _origins(values):
        if found is None:
            found = origin
        elif found.turn != origin.turn:
            raise UntrackableError("the template mixes the texts of several messages in one value")
    return found


def _origins(values: Iterable[Any]) -> Iterator[Origin]:
    for value in values:
        if isinstance(value, Tracked):
            for _, origin in runs_of(value):
                if origin.turn != NOBODY:
                    yield origin
        elif isinstance(value, Mapping):
            yield from _origins(value.keys())
            yield from _origins(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _origins(value)


def _checked(tracked_text: str, plain: str, values: Iterable[Any]) -> str:
    return tracked_text if tracked_text == plain else coarse(plain, values)


def _repr(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield ", " if index else ""
            yield from _repr(key)
            yield ": "
            yield from _repr(item)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield "[" if isinstance(value, list) else "("
        for index, item in enumerate(value):
            yield ", " if index else ""
            yield from _repr(item)
        yield "]" if isinstance(value, list) else ",)" if len(value) == 1 else ")"
    else:
        yield coarse(repr(value), (value,))


def padded(value: Tracked, spec: str) -> str:
    """format(value, spec): cut to the precision, then padded to the width."""
    if not spec:
        return value
    plain = str.__format__(value, spec)
    match = _SPEC.fullmatch(spec)
    if match is None:
        return coarse(plain, (value,))
    kept = value if match["precision"] is None else value[: int(match["precision"])]
    pad = len(plain) - len(kept)
    before = {">": pad, "^": pad // 2}.get(match["align"] or "<", 0)
    return _checked(concat((plain[:before], kept, plain[before + len(kept) :])), plain, (value,))


def percent(template: str, values: Any) -> str:
    """template % values."""
    plain = str.__mod__(template, values)
    parts: list[str] = []
    left = list(values) if isinstance(values, tuple) else [values]
    text = as_tracked(template)
    at = 0
    for match in _PERCENT.finditer(template):
        parts.append(text[at : match.start()])
        at = match.end()
        parts.append("%" if match["kind"] == "%" else _percent_value(match, values, left))
    parts.append(text[at:])
    return _checked(concat(parts), plain, (template, values))


def _percent_value(match: re.Match[str], values: Any, left: list[Any]) -> str:
    """What one `%` conversion lays down; takes its values from `left`."""
    sizes = [left.pop(0) if match[part] == "*" else match[part] for part in ("width", "precision")]
    value = values[match["key"]] if match["key"] is not None else left.pop(0)
    width, precision = (None if size in (None, "") else int(size) for size in sizes)
    if match["kind"] != "s":
        spec = f"%{match['flags']}{'' if width is None else width}"
        spec += ("" if match["precision"] is None else f".{precision or 0}") + match["kind"]
        return coarse(spec % (value,), (value,))
    text = to_text(value)
    if match["precision"] is not None:
        text = text[: precision or 0]
    if width is not None and abs(width) > len(text):
        pad = " " * (abs(width) - len(text))
        return concat((text, pad) if "-" in match["flags"] or width < 0 else (pad, text))
    return text


def brace_format(
    formatter: Formatter, template: str, values: tuple[Any, ...], named: Mapping[str, Any]
) -> str:
    """template.format(*values, **named); `formatter.get_field` looks values up, as safely as it does."""
    if isinstance(template, Tracked) and _sole_origin((template,)) is not None:
        raise UntrackableError("the template uses a message's text as a format string")
    parts: list[str] = []
    counter = 0
    for literal, name, given, conversion in formatter.parse(template):
        parts.append(literal)
        if name is None:
            continue
        field, spec = name, given or ""
        if field == "" or field[0] in ".[":
            field, counter = f"{counter}{field}", counter + 1
        value, _ = formatter.get_field(field, values, named)
        if "{" in spec:
            spec = str(brace_format(formatter, spec, values, named))
        if conversion in ("r", "a"):
            value = coarse(formatter.convert_field(value, conversion), (value,))
        elif conversion == "s" or (not spec and isinstance(value, (list, tuple, dict))):
            value = to_text(value)
        parts.append(format(value, spec))
    return concat(parts)


def dumps(value: Any, **options: Any) -> str:
    """json.dumps, whose quotes and punctuation belong to the data between them."""
    plain = json.dumps(value, **options)
    try:
        return coarse(plain, (value,))
    except UntrackableError:
        if options.get("indent") is not None or options.get("sort_keys"):
            raise
    comma, colon = options.get("separators") or (", ", ": ")

    def leaf(item: Any) -> str:
        return coarse(json.dumps(item, ensure_ascii=options.get("ensure_ascii", True)), (item,))

    return concat(_json(value, leaf, comma, colon))


def _json(value: Any, leaf: Callable[[Any], str], comma: str, colon: str) -> Iterable[str]:
    """JSON of a value that holds the texts of several messages, leaf by leaf."""
    if isinstance(value, Mapping):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield comma if index else ""
            if not isinstance(key, str):
                raise UntrackableError("the template writes an object with keys that are no texts as JSON")
            yield leaf(key)
            yield colon
            yield from _json(item, leaf, comma, colon)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield "["
        for index, item in enumerate(value):
            yield comma if index else ""
            yield from _json(item, leaf, comma, colon)
        yield "]"
    else:
        yield leaf(value)

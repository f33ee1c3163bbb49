"""YAML as people mean it: no surprises with `no`, repeated keys or aliases."""

import difflib
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from sftcli.errors import ConfigError, UsageError
from sftcli.familiar import key_hint, value_hint

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_LONGEST_NUMBER = 400  # characters, more than any float has when it is written out
_MAX_BYTES = 1 << 20
OPTIONS = "options"  # names flags as the place of a mistake


@cache
def _loader() -> "type[yaml.SafeLoader]":
    """SafeLoader that refuses repeated keys and aliases, and reads only true/false as booleans.

    Made where a file is read: yaml takes as long to load as all commands' modules together.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                event = self.peek_event()  # type: ignore[no-untyped-call]
                raise yaml.constructor.ConstructorError(
                    None, None, "aliases (*name) are not read here; write the value out", event.start_mark
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key!r} is not text; put it in quotes", key_node.start_mark
                    )
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key!r} is there twice", key_node.start_mark
                    )
                seen.add(key)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

        def construct_number(self, node: Any) -> Any:
            text = self.construct_scalar(node)
            if len(text) > _LONGEST_NUMBER or ":" in text:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{text[:20]}... is no number that is read here", node.start_mark
                )
            return self.construct_yaml_int(node) if node.tag == _INT else self.construct_yaml_float(node)

    Loader.add_constructor(_INT, Loader.construct_number)
    Loader.add_constructor(_FLOAT, Loader.construct_number)
    # YAML 1.1 reads no, off, yes and on as booleans, dates as dates, and 1:30 as ninety; 1.2 reads them as
    # text. What 1.1 reads as text, and 1.2 and JSON as a number, is 1e-9.
    left_out = (_BOOL, _INT, _FLOAT, "tag:yaml.org,2002:timestamp")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in left_out]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
    number = list("-+.0123456789")
    Loader.add_implicit_resolver(
        _INT, re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"), number
    )
    Loader.add_implicit_resolver(
        _FLOAT,
        re.compile(
            r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+"
            r"|[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
        ),
        number,
    )
    return Loader


def read_small(path: Path, error: type[UsageError] = ConfigError) -> bytes:
    """The bytes of a config or template. Raises `error` where it cannot be read, or is over 1 MiB."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)  # it may have no end, such as /dev/zero
        size = max(len(raw), path.stat().st_size)
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None
    if size > _MAX_BYTES:
        raise error(f"{path}: {size} bytes; a config or template of over 1 MiB is not read")
    return raw


def load_yaml(path: Path, error: type[UsageError] = ConfigError, raw: bytes | None = None) -> dict[str, Any]:
    """Read one YAML mapping, `raw` if somebody has read it.

    Raises `error` with file:line:column where it is malformed.
    """
    import yaml

    raw = read_small(path, error) if raw is None else raw
    try:
        data = yaml.load(raw.decode(), Loader=_loader())  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not UTF-8 at byte {problem.start}") from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise error(f"{place}: {problem.problem}") from None
    except (
        *(yaml.YAMLError, RecursionError, ArithmeticError),
        *(ValueError, LookupError, AttributeError, TypeError),
    ) as problem:
        # Explicit tags on what is not of their kind end in all sorts of errors.
        raise error(f"{path}: a value that cannot be read ({type(problem).__name__}: {problem})") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else "a list" if isinstance(data, list) else "plain text"
        raise error(f"{path}: expected `key: value` lines, found {found}")
    return data


def convert(
    data: Any, type_: type[T], where: str, error: type[UsageError] = ConfigError, inside: str = ""
) -> T:
    """Check plain data against a msgspec type, naming `where` in what goes wrong.

    `inside` is where in the file the data stands, such as `sources[1].`.
    """
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as problem:
        message = str(problem)
    match = re.fullmatch(r"(.*) - at `\$\.?(.*)`", message)
    what, key = (match[1], match[2]) if match else (message, "")
    if what.startswith("Invalid enum value"):
        given = _at(data, key)
        what = f"{given!r} is not one of its values{nearest(str(given), _choices(type_, key))}"
    elif key in get_type_hints(type_):
        what += value_hint(key, _at(data, key), _choices(type_, key), is_switch="`bool`, got" in what)
    key = inside + key if key else inside[:-1]
    raise error(f"{place_of_key(where, key)}: {key + ': ' if key else ''}{_plainer(what)}")


_TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}


def _plainer(message: str) -> str:
    """msgspec's message in words that a YAML file's author uses."""

    def named(match: re.Match[str]) -> str:
        names = [_TYPE_NAMES.get(name, name) for name in match[1].removesuffix(" | null").split(" | ")]
        return " or ".join(names)

    message = re.sub(r"`([a-z]+(?: \| [a-z]+)*)`", named, message).replace(", got ", ", found ")
    message = message.replace("Object missing required field", "is missing").replace(
        "Object contains", "it contains"
    )
    return message[:1].lower() + message[1:]


def _at(data: Any, key: str) -> Any:
    """The value at a key such as `columns[0]`."""
    for part in re.findall(r"[^.\[\]]+", key):
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _choices(type_: type, key: str) -> list[str]:
    """The texts that a field of type Literal may have, or each value of a list of them."""
    hint = get_type_hints(type_)[key.partition("[")[0]]
    literals = [hint] if get_origin(hint) is Literal else get_args(hint)
    return [value for literal in literals for value in get_args(literal) if isinstance(value, str)]


def with_lists(data: dict[str, Any], type_: type, commas: Collection[str] = ()) -> dict[str, Any]:
    """The data with a list of one where a single text stands for a list of texts.

    A text of a key in `commas` is parted at its commas, as on the command line.
    """
    found = dict(data)
    for key, hint in get_type_hints(type_).items():
        text = data.get(key)
        hints = get_args(hint) if get_origin(hint) is Union else (hint,)  # a list that may be left out
        takes = [get_args(one)[0] for one in hints if get_origin(one) is list]
        if isinstance(text, str) and any(one is str or get_origin(one) is Literal for one in takes):
            found[key] = [part.strip() for part in text.split(",")] if key in commas else [text]
    return found


def place_of_key(where: str, key: str) -> str:
    """`where`, with line and column of a key if it is a YAML file that has the key.

    Of a key such as `sources[1].field[...]` it is the place of the last name that is found.
    """
    if where == OPTIONS:
        return where
    import yaml

    place = where
    try:
        node: Any = yaml.compose(Path(where).read_text(encoding="utf-8"), Loader=_loader())
        for part in re.findall(r"[^.\[\]]+", key):
            if isinstance(node, yaml.SequenceNode):
                node = node.value[int(part)]
            else:
                marks = {name.value: (name.start_mark, value) for name, value in node.value}
                # An option is written with dashes or underscores.
                mark, node = marks[part] if part in marks else marks[part.replace("_", "-")]
                place = f"{where}:{mark.line + 1}:{mark.column + 1}"
    except (OSError, ValueError, LookupError, AttributeError, TypeError, yaml.YAMLError):
        pass
    return place


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The name that was most likely meant, whatever its case; None where nothing is near."""
    choices = sorted(known)
    folded = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name, choices, n=1)
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    return close[0] if close else folded[near[0]] if near else None


def nearest(name: str, known: Iterable[str], listed_by: str = "") -> str:
    """A hint such as "; did you mean `max_length`?", or the whole list where nothing is near.

    `listed_by` is the command that lists them, where they are too many to be told.
    """
    choices = sorted(known)
    close = close_to(name, choices)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; `{listed_by}` lists them" if listed_by else f"; known: {', '.join(choices)}"


def underscored(data: dict[str, Any], where: str, error: type[UsageError] = ConfigError) -> dict[str, Any]:
    """The options of a file by their names in code: `max-length` and `max_length` are one key.

    Raises `error` where both are there.
    """
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = key.replace("-", "_")
        if name in found:
            raise error(f"{where}: {name} and {name.replace('_', '-')} are one key; remove one of the two")
        found[name] = value
    return found


def check_keys(
    data: dict[str, Any],
    known: Iterable[str],
    where: str,
    error: type[UsageError],
    inside: str = "",
    listed_by: str = "",
) -> None:
    """Raise `error` for the first key that is not known, with the nearest one that is.

    `inside` is where in the file the keys stand, such as `sources[1].`. `listed_by` is as for `nearest`.
    """
    names = list(known)
    for key, value in data.items():
        if key not in names:
            place = place_of_key(where, inside + key)
            hint = key_hint(key, value, names) or nearest(key, names, listed_by)
            raise error(f"{place}: unknown key {inside + key!r}{hint}")

"""Tracked: text whose characters know where they came from.

A template is an opaque program, so what it made of a message cannot be read off its result. Here
every character carries its origin through all that a template can do with a string: trimmed, split,
repeated, reordered or rewritten, it still says which message and field it belongs to.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, SupportsIndex

from sftcli.jinja.origin import TEMPLATE, Origin, Run, Runs, merged

_MAX_CUTS = 5_000_000


class UntrackableError(Exception):
    """The template does something to data that cannot be followed."""


class Tracked(str):
    """A str with the origin of each character, kept by every method that returns text."""

    __slots__ = ("_runs",)
    _runs: Runs

    def __str__(self) -> str:
        return self

    def __getnewargs__(self) -> NoReturn:
        raise UntrackableError("tracked text does not leave the renderer")

    def __add__(self, other: str) -> str:
        runs = self._runs
        if type(other) is str and other and runs and runs[-1][1] is not TEMPLATE:
            return made(str.__add__(self, other), (*runs, (len(other), TEMPLATE)))
        return concat((self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> str:
        runs = self._runs
        if type(other) is str and other and runs and runs[0][1] is not TEMPLATE:
            return made(str.__add__(other, self), ((len(other), TEMPLATE), *runs))
        return concat((other, self)) if isinstance(other, str) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> str:
        return made(str.__mul__(self, count), merged(self._runs * max(int(count), 0)) or self._place(0))

    __rmul__ = __mul__

    def __mod__(self, values: Any) -> str:
        from sftcli.jinja.formatting import percent

        return percent(self, values)

    def __rmod__(self, template: str) -> str:
        from sftcli.jinja.formatting import percent

        return percent(template, self) if isinstance(template, str) else NotImplemented

    def __format__(self, spec: str) -> str:
        from sftcli.jinja.formatting import padded

        return padded(self, spec)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._cut(start, max(start, stop))
            origins = [origin for length, origin in self._runs for _ in range(length)][key]
            return made(
                str.__getitem__(self, key), merged((1, origin) for origin in origins) or self._place(start)
            )
        str.__getitem__(self, key)  # what is no index, or out of range, is str's own error
        index = key.__index__()
        index += len(self) if index < 0 else 0
        return self._cut(index, index + 1)

    def __iter__(self) -> Iterator[str]:
        at = 0
        for length, origin in self._runs:
            run = ((1, origin),)
            for index in range(at, at + length):
                yield made(str.__getitem__(self, index), run)
            at += length

    def _place(self, index: int) -> Runs:
        """An empty run that stands for a place in this text, of whoever wrote the character there."""
        owner = TEMPLATE
        for length, owner in self._runs:  # noqa: B007 (the last run's owner stands for the end)
            index -= length
            if index < 0:
                break
        return ((0, owner),)

    def _cut(self, start: int, stop: int) -> str:
        """self[start:stop] for 0 <= start <= stop <= len(self)."""
        text = str.__getitem__(self, slice(start, stop))
        runs = self._runs
        if len(runs) == 1:
            return made(text, ((len(text), runs[0][1]),))
        if not text:
            return made(text, self._place(start))
        kept: list[Run] = []
        at = 0
        for length, origin in runs:
            low, high = max(start, at), min(stop, at + length)
            if low < high or (not length and start <= at <= stop):
                kept.append((high - low, origin))
            at += length
            if at > stop:
                break
        return made(text, tuple(kept))

    def _check_cuts(self, count: int) -> None:
        """Each cut looks through the runs, so a template that makes both many is stopped."""
        if count * len(self._runs) > _MAX_CUTS:
            raise UntrackableError("the template cuts a text into more pieces than can be followed")

    def _mapped(self, change: Callable[[str], str]) -> str:
        """Apply a change that works from left to right, so that a prefix's result is a prefix's length."""
        plain = str.__getitem__(self, slice(None))
        text = change(plain)
        runs = self._runs
        if len(runs) == 1:
            return made(text, ((len(text), runs[0][1]),))
        if len(text) == len(self):
            return made(text, runs)
        out: list[Run] = []
        at = done = 0
        for length, origin in runs:
            at += length
            reached = len(change(plain[:at])) if at < len(self) else len(text)
            out.append((reached - done, origin))
            done = reached
        return made(text, merged(out))

    def capitalize(self) -> str:
        return self._mapped(str.capitalize)

    def casefold(self) -> str:
        return self._mapped(str.casefold)

    def lower(self) -> str:
        return self._mapped(str.lower)

    def swapcase(self) -> str:
        return self._mapped(str.swapcase)

    def title(self) -> str:
        return self._mapped(str.title)

    def upper(self) -> str:
        return self._mapped(str.upper)

    def expandtabs(self, tabsize: SupportsIndex = 8) -> str:
        return self._mapped(lambda text: str.expandtabs(text, tabsize))

    def translate(self, table: Any) -> str:
        return self._mapped(lambda text: str.translate(text, table))

    def lstrip(self, chars: str | None = None) -> str:
        return self._cut(len(self) - len(str.lstrip(self, chars)), len(self))

    def rstrip(self, chars: str | None = None) -> str:
        return self._cut(0, len(str.rstrip(self, chars)))

    def strip(self, chars: str | None = None) -> str:
        start = len(self) - len(str.lstrip(self, chars))
        return self._cut(start, max(start, len(str.rstrip(self, chars))))

    def removeprefix(self, prefix: str) -> str:
        return self._cut(len(prefix), len(self)) if self.startswith(prefix) else self

    def removesuffix(self, suffix: str) -> str:
        return self._cut(0, len(self) - len(suffix)) if suffix and self.endswith(suffix) else self

    def center(self, width: SupportsIndex, fillchar: str = " ") -> str:
        # str.center's own rounding decides on which side the odd character goes.
        whole = str.center("x" * len(self), width, "." if fillchar != "." else ",")
        before = whole.find("x") if self else len(whole)
        return concat((fillchar * before, self, fillchar * (len(whole) - len(self) - before)))

    def ljust(self, width: SupportsIndex, fillchar: str = " ") -> str:
        return concat((self, fillchar * (len(str.ljust(self, width, fillchar)) - len(self))))

    def rjust(self, width: SupportsIndex, fillchar: str = " ") -> str:
        return concat((fillchar * (len(str.rjust(self, width, fillchar)) - len(self)), self))

    def zfill(self, width: SupportsIndex) -> str:
        sign = 1 if self.startswith(("+", "-")) else 0
        zeros = "0" * (len(str.zfill(self, width)) - len(self))
        return concat((self._cut(0, sign), zeros, self._cut(sign, len(self)))) if zeros else self

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> str:
        if len(self._runs) == 1 and merged(runs_of(new)) in ((), ((len(new), self._runs[0][1]),)):
            text = str.replace(self, old, new, count)
            return made(text, ((len(text), self._runs[0][1]),))
        self._check_cuts(str.count(self, old))
        left = len(self) + 1 if int(count) < 0 else int(count)
        parts: list[str] = []
        at = copied = 0
        while left and (found := self.find(old, at)) >= 0:
            parts += (self._cut(copied, found), new)
            copied = found + len(old)
            at = copied if old else found + 1
            left -= 1
            if not old and at > len(self):
                break
        return concat((*parts, self._cut(copied, len(self)))) if parts else self

    def join(self, parts: Iterable[str]) -> str:
        laid: list[str] = []
        for part in parts:
            laid += (self, part) if laid else (part,)
        str.join("", laid)  # a part that is no text is str's own error
        return concat(laid)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._located(str.split(self, sep, maxsplit), sep)

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._located(str.rsplit(self, sep, maxsplit), sep)

    def _located(self, parts: list[str], sep: str | None) -> list[str]:
        """The parts of a split as slices. Between two words of a split at white space is only that."""
        self._check_cuts(len(parts))
        out: list[str] = []
        at = 0
        for part in parts:
            start = self.find(part, at) if sep is None else at
            out.append(self._cut(start, start + len(part)))
            at = start + len(part) + len(sep or "")
        return out

    def splitlines(self, keepends: bool = False) -> list[str]:
        out: list[str] = []
        at = 0
        self._check_cuts(str.count(self, "\n"))
        for whole, part in zip(str.splitlines(self, True), str.splitlines(self, keepends), strict=True):
            out.append(self._cut(at, at + len(part)))
            at += len(whole)
        return out

    def partition(self, sep: str) -> tuple[str, str, str]:
        before, _, after = str.partition(self, sep)
        return self._parted(len(before), len(self) - len(after))

    def rpartition(self, sep: str) -> tuple[str, str, str]:
        before, _, after = str.rpartition(self, sep)
        return self._parted(len(before), len(self) - len(after))

    def _parted(self, first: int, second: int) -> tuple[str, str, str]:
        return self._cut(0, first), self._cut(first, second), self._cut(second, len(self))

    def format(self, *values: object, **named: object) -> NoReturn:
        raise UntrackableError("str.format outside the sandbox")

    def format_map(self, mapping: Any, /) -> NoReturn:
        raise UntrackableError("str.format_map outside the sandbox")

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise UntrackableError("the template turns text into bytes")


_new = str.__new__


def made(text: str, runs: Runs) -> Tracked:
    """Text with its runs, whose lengths add up to the text's."""
    tracked = _new(Tracked, text)
    tracked._runs = runs
    return tracked


def tracked(text: str, origin: Origin) -> Tracked:
    """Text that comes whole from one origin."""
    tracked = _new(Tracked, text)
    tracked._runs = ((len(text), origin),)
    return tracked


def as_tracked(text: str) -> Tracked:
    """The text itself, or template text where it is untracked."""
    return text if isinstance(text, Tracked) else tracked(text, TEMPLATE)


def runs_of(text: str) -> Runs:
    return text._runs if isinstance(text, Tracked) else ((len(text), TEMPLATE),)


def concat(parts: Iterable[str]) -> str:
    """Texts joined; plain where none of them is tracked."""
    texts = list(parts)
    if len(texts) == 1:
        return texts[0]
    out: list[Run] = []
    add = out.append
    total, open_origin = 0, TEMPLATE
    for text in texts:
        if type(text) is Tracked:
            for length, origin in text._runs:
                if origin is open_origin or origin == open_origin:
                    total += length
                    continue
                if total or open_origin is not TEMPLATE:
                    add((total, open_origin))
                total, open_origin = length, origin
        elif text:
            if open_origin is TEMPLATE:
                total += len(text)
            else:
                add((total, open_origin))
                total, open_origin = len(text), TEMPLATE
    joined = "".join(texts)
    if not out and open_origin is TEMPLATE:
        return joined
    if total or open_origin is not TEMPLATE:
        add((total, open_origin))
    return made(joined, tuple(out))

"""Tracked text: the same text as str's own methods give, and the origin of each character."""

import string
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftcli.jinja.data import Disguise
from sftcli.jinja.formatting import dumps, to_text
from sftcli.jinja.layout import read_layout
from sftcli.jinja.origin import TEMPLATE, Origin, merged
from sftcli.jinja.sandbox import CompiledTemplate, PlainEnvironment, TrackedEnvironment
from sftcli.jinja.tracked import Tracked, UntrackableError, as_tracked, concat, made, runs_of, tracked

A, B = Origin(0, "content"), Origin(1, "content")
# Letters whose case changes their number, tabs, line breaks and white space of all kinds.
ALPHABET = "aB1 \t\n\rßİΣσǆŉ\u2028\x1c-+😀é"

# The slow, obvious version: a list of (character, origin).
Chars = list[tuple[str, Origin]]


def chars_of(text: str) -> Chars:
    origins = [origin for length, origin in runs_of(text) for _ in range(length)]
    return list(zip(str.__str__(text), origins, strict=True))


def plain(text: str) -> str:
    return "".join(char for char, _ in chars_of(text))


def laid(chars: Chars) -> Tracked:
    return made(
        "".join(char for char, _ in chars), merged((1, origin) for _, origin in chars) or ((0, TEMPLATE),)
    )


texts = st.lists(
    st.tuples(st.text(ALPHABET, max_size=6), st.sampled_from([A, B, TEMPLATE])), min_size=1, max_size=4
).map(lambda runs: as_tracked(concat([tracked(text, origin) for text, origin in runs])))
words = st.text(ALPHABET, min_size=1, max_size=2)
numbers = st.integers(-3, 14)


def same(result: Any, chars: Chars) -> None:
    assert type(result) is Tracked or all(origin is TEMPLATE for _, origin in chars)
    assert chars_of(result) == chars
    assert sum(length for length, _ in runs_of(result)) == len(result)


@given(texts, texts, numbers)
def test_joining_and_repeating(one: Tracked, two: Tracked, count: int) -> None:
    same(one + two, chars_of(one) + chars_of(two))
    same("x" + one, [("x", TEMPLATE), *chars_of(one)])
    same(one + "x", [*chars_of(one), ("x", TEMPLATE)])
    same(one * count, chars_of(one) * count)
    same(count * one, chars_of(one) * count)
    joined = two.join([one, "x", one])
    same(joined, [*chars_of(one), *chars_of(two), ("x", TEMPLATE), *chars_of(two), *chars_of(one)])
    assert list(one) == list(plain(one))
    assert [chars_of(char)[0] for char in one] == chars_of(one)


@given(texts, st.none() | numbers, st.none() | numbers, st.sampled_from([None, 1, 2, -1, -3]))
def test_slicing(text: Tracked, start: int | None, stop: int | None, step: int | None) -> None:
    same(text[start:stop:step], chars_of(text)[start:stop:step])
    for index in range(-len(text), len(text)):
        same(text[index], [chars_of(text)[index]])
    with pytest.raises(IndexError):
        text[len(text)]
    with pytest.raises(TypeError):
        text["key"]  # type: ignore[index]


@given(texts, st.none() | st.text(ALPHABET, max_size=3))
def test_stripping(text: Tracked, what: str | None) -> None:
    chars = chars_of(text)
    start = len(text) - len(plain(text).lstrip(what))
    stop = len(plain(text).rstrip(what))
    same(text.lstrip(what), chars[start:])
    same(text.rstrip(what), chars[:stop])
    same(text.strip(what), chars[start : max(start, stop)])
    if what:
        same(text.removeprefix(what), chars[len(what) :] if plain(text).startswith(what) else chars)
        same(text.removesuffix(what), chars[: -len(what)] if plain(text).endswith(what) else chars)


def parts_in_order(text: Tracked, parts: list[str], result: list[str]) -> None:
    """Each part, with the origins of the place where it stands, found character by character."""
    assert list(map(plain, result)) == parts
    at = 0
    for part in result:
        places = [i for i in range(at, len(text) + 1) if plain(text)[i : i + len(part)] == plain(part)]
        found = next(i for i in places if chars_of(text)[i : i + len(part)] == chars_of(part))
        at = found + len(part)


@given(texts, words, numbers)
def test_splitting(text: Tracked, sep: str, count: int) -> None:
    bare = plain(text)
    for method in ("split", "rsplit"):
        for given_sep in (sep, None):
            parts_in_order(
                text, getattr(bare, method)(given_sep, count), getattr(text, method)(given_sep, count)
            )
    for keep in (False, True):
        parts_in_order(text, bare.splitlines(keep), text.splitlines(keep))
    for method in ("partition", "rpartition"):
        parts = getattr(text, method)(sep)
        assert tuple(map(plain, parts)) == getattr(bare, method)(sep)
        same(concat(parts), chars_of(text))


@given(texts, st.text(ALPHABET, max_size=2), texts, st.integers(-1, 3))
def test_replacing(text: Tracked, old: str, new: Tracked, count: int) -> None:
    result = text.replace(old, new, count)
    assert plain(result) == plain(text).replace(old, plain(new), count)
    expected: Chars = []
    at, left = 0, count if count >= 0 else len(text) + 1
    chars = chars_of(text)
    while at <= len(text):
        if left and plain(text).startswith(old, at):
            expected += chars_of(new)
            left -= 1
            if old:
                at += len(old)
                continue
        expected += chars[at : at + 1]
        at += 1
    same(result, expected)


@given(texts, numbers)
def test_changes_of_letters(text: Tracked, size: int) -> None:
    """Each character becomes what its prefix's change adds, and keeps its origin."""
    for method in ("upper", "lower", "title", "capitalize", "swapcase", "casefold", "expandtabs"):
        values = (size,) if method == "expandtabs" else ()
        change: Callable[[str], str] = lambda bare, m=method, v=values: getattr(bare, m)(*v)  # noqa: E731
        result = getattr(text, method)(*values)
        assert plain(result) == change(plain(text))
        origins: list[Origin] = []
        for index, (_, origin) in enumerate(chars_of(text), 1):
            origins += [origin] * (len(change(plain(text)[:index])) - len(origins))
        assert [origin for _, origin in chars_of(result)] == origins
    table = {ord("a"): "xy", ord("B"): None}
    assert plain(text.translate(table)) == plain(text).translate(table)


@given(texts, numbers, st.sampled_from(" .x"))
def test_padding(text: Tracked, width: int, fill: str) -> None:
    for method in ("center", "ljust", "rjust"):
        result = getattr(text, method)(width, fill)
        assert plain(result) == getattr(plain(text), method)(width, fill)
        own = [item for item in chars_of(result) if item[1] is not TEMPLATE]
        assert own == [item for item in chars_of(text) if item[1] is not TEMPLATE]
    assert plain(text.zfill(width)) == plain(text).zfill(width)
    for spec in ("", f"{abs(width)}", f".>{abs(width)}", f"^{abs(width)}.2", ".1s"):
        assert plain(format(text, spec)) == format(plain(text), spec)


@given(texts, texts)
def test_percent_and_format(one: Tracked, two: Tracked) -> None:
    pair = (one, two)
    bare = (plain(one), plain(two))
    for template in ("%s", "<%s|%s>", "%5s%%%-4s", "%.1s%r", "%(k)s"):
        values: Any = {"k": one} if "(" in template else pair if template.count("%") > 1 else one
        expected = template % ({"k": bare[0]} if "(" in template else bare if values is pair else bare[0])
        try:
            result = as_tracked(template) % values
        except UntrackableError:
            continue  # a repr of two messages' texts
        assert plain(result) == expected
    same(
        as_tracked("<%s|%s>") % pair,
        [*chars_of("<"), *chars_of(one), *chars_of("|"), *chars_of(two), *chars_of(">")],
    )


def test_every_method_of_str_that_gives_text_is_tracked() -> None:
    """No method may silently give text without origins: a new one in some Python is found here."""
    text = tracked("ab", A)
    no_text = {
        *("count", "endswith", "find", "index", "rfind", "rindex", "startswith", "maketrans"),
        *(name for name in dir(str) if name.startswith("is")),
    }
    # Reached by operators and built-in functions only; what they give is no text of a template.
    dunder = {"__repr__", "__doc__", "__class__", "__reduce__", "__reduce_ex__", "__getstate__", "__sizeof__"}
    by_operator = {
        "__add__",
        "__mul__",
        "__rmul__",
        "__mod__",
        "__rmod__",
        "__getitem__",
        "__iter__",
        "__str__",
    }
    by_operator |= {"__format__", "__getnewargs__"}
    assert by_operator <= vars(Tracked).keys()
    for name in dir(str):
        if name in no_text or name in dunder or name in by_operator:
            continue
        if name.startswith("__"):
            value = getattr(str, name, None)
            assert name in vars(object) or name in (
                *(
                    "__contains__",
                    "__eq__",
                    "__ge__",
                    "__gt__",
                    "__hash__",
                    "__le__",
                    "__len__",
                    "__lt__",
                    "__ne__",
                ),
                *("__new__", "__init_subclass__", "__subclasshook__", "__getattribute__"),
            ), f"str.{name} ({value}) is new: does it give text?"
            continue
        assert name in vars(Tracked), f"str.{name} is not tracked"
    assert str(text) is text
    for name, values in {"encode": (), "format": ("x",), "format_map": ({},)}.items():
        with pytest.raises(UntrackableError):
            getattr(text, name)(*values)


def test_values_as_text_and_as_json() -> None:
    one, two = tracked("a'\n", A), tracked("é", B)
    for value in ([one, 1, None], {"k": one, one: [True]}, (one,), (one, two), [{"x": two}, one]):
        assert plain(to_text(value)) == str(value)
        assert [char for char, origin in chars_of(to_text(value)) if origin == B] in ([], list("'é'"))
    text = dumps({"k": one, "n": 1}, ensure_ascii=False)
    assert chars_of(text) == [(char, A) for char in '{"k": "a\'\\n", "n": 1}']
    both = dumps([one, {"x": two}], ensure_ascii=False)
    assert plain(both) == '["a\'\\n", {"x": "é"}]'
    assert [plain(both[h.start : h.stop]) for h in read_layout(both).holes] == ['"a\'\\n"', '"é"']
    assert dumps({"x": 1}) == '{"x": 1}'
    with pytest.raises(UntrackableError):
        dumps([one, two], indent=1)


# Templates: the text equals Jinja's own, and data is data wherever it went.

EXPRESSIONS = [
    "{{ x }}",
    "{{ 'a' + x + 'b' }}",
    "{{ 'a' ~ x ~ 1 }}",
    "{{ x * 2 }}",
    "{{ 'a%sb' % x }}",
    "{{ 'a%sb%s' % (x, 1) }}",
    "{{ '{}-{}'.format(x, 1) }}",
    "{{ '{a!s:>8}'.format(a=x) }}",
    "{{ ', '.join([x, 'b', x]) }}",
    "{{ [x, 1, 'c'] | join('; ') }}",
    "{{ x | trim }}",
    "{{ x.strip() | upper }}",
    "{{ x | replace('a', 'zz') }}",
    "{{ 'say a' | replace('a', x) }}",
    "{{ 'say a'.replace('a', x) }}",
    "{{ x | string }}",
    "{{ [x] | string }}",
    "{{ {'k': x} }}",
    "{{ x | tojson }}",
    "{{ {'k': [x, 1]} | tojson(indent=2) }}",
    "{{ x | safe }}",
    "{{ x | indent(2, true) }}",
    "{{ x | capitalize }}{{ x | title }}{{ x | lower }}",
    "{{ x | default('d') }}{{ y | default(x) }}",
    "{{ x | first }}{{ x | last }}",
    "{{ x | list | join }}",
    "{{ [x, x] | map('upper') | join }}",
    "{{ [x, ''] | select | list | first }}",
    "{{ '%s!' | format(x) }}",
    "{{ x | center(20) }}|{{ x | truncate(4) }}|{{ x | wordwrap(3) }}",
    "{{ x[1:] }}{{ x[::-1] }}{{ x[0] }}",
    "{{ x.split('b') | join('+') }}{{ x.split()[0] }}",
    "{% for c in x %}{{ c }}.{% endfor %}",
    "{% set y = x %}{{ y }}",
    "{% set y %}<{{ x }}>{% endset %}{{ y | trim }}",
    "{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(x) }}",
    "{% set n = namespace(s='') %}{% for i in range(3) %}{% set n.s = n.s + x %}{% endfor %}{{ n.s }}",
    "{% filter upper %}<{{ x }}>{% endfilter %}",
    "{{ x if x else 'n' }}",
    "{{ (x,) }}",
    "{{ dict(a=x).a }}",
    "{% for k, v in {x: x} | dictsort %}{{ k }}={{ v }}{% endfor %}",
    "{% for k, v in {'k': x}.items() %}{{ k ~ v }}{% endfor %}",
    "{% generation %}{{ x }}{% endgeneration %}!",
    "{{ x | e }}",
    "{{ 1 | string + x }}",
    "{{ x.partition('b')[2] }}",
    "{{ [x] | batch(2) | list | first | first }}",
    "{{ strftime_now('%d %b %Y') }}{{ x.expandtabs(4) }}{{ x.zfill(12) }}",
    "{{ x | pprint }}",
]


@settings(max_examples=15, deadline=None)
@given(st.text("abAB \t\n<é", min_size=1, max_size=12).filter(lambda text: bool(text.strip())))
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_templates_give_jinjas_text_and_follow_the_data(expression: str, text: str) -> None:
    source = "{%- set x = messages[0].content -%}" + expression
    today = date(2024, 7, 26)
    expected = CompiledTemplate(source, PlainEnvironment(today), {}).render([{"content": text}], None, False)
    template = CompiledTemplate(source, TrackedEnvironment(today), {})
    result = template.render([{"content": tracked(text, A)}], None, False)
    assert plain(result) == expected
    letters = [char for char in text if char in string.ascii_letters + "é"]
    if letters and not any(
        mark in expression for mark in ("first", "[0]", "truncate", "partition", "batch", "split")
    ):
        owned = "".join(char for char, origin in chars_of(result) if origin.turn == 0)
        assert owned, "the data lost its origin"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_letter_of_the_data_counts_as_template_text(expression: str) -> None:
    """Private-use letters can come from the data only."""
    source = "{%- set x = messages[0].content -%}" + expression
    data = [{"content": tracked("\ue000\ue001 \ue002", A)}]
    result = CompiledTemplate(source, TrackedEnvironment(date(2024, 7, 26)), {}).render(data, None, False)
    assert all(origin.turn == 0 for char, origin in chars_of(result) if "\ue000" <= char <= "\ue002")


@pytest.mark.parametrize("expression", ["{{ x | urlencode }}", "{{ x.encode() }}", "{{ x.format(1) }}"])
def test_what_cannot_be_followed_is_refused(expression: str) -> None:
    source = "{%- set x = messages[0].content -%}" + expression
    template = CompiledTemplate(source, TrackedEnvironment(date(2024, 7, 26)), {})
    with pytest.raises(UntrackableError):
        template.render([{"content": tracked("a{}", A)}], None, False)


def disguised_slowly(text: str, words: list[str], base: int, escapes: tuple[str, ...] = ()) -> str:
    """From left to right: a word that is kept, else a whole word of letters and digits, else as it is."""
    out, at = "", 0
    while at < len(text):
        kept = next((word for word in words if text.startswith(word, at)), None)
        kept = kept or next(
            (text[at : at + len(mark)] for mark in escapes if text.startswith(mark, at)), None
        )
        if kept is not None:
            out, at = out + kept, at + len(kept)
            continue
        stop = at
        while stop < len(text) and text[stop].isalnum():
            stop += 1
        out += "".join(chr(base + ord(char) % 31) for char in text[at:stop]) or text[at]
        at = max(stop, at + 1)
    return out


@given(
    st.lists(st.sampled_from(["and", "<think>", "Yes", "a", "_", " ", "é", "中", "\\n", "²", "9"])).map(
        "".join
    )
)
def test_a_disguise_changes_letters_and_keeps_what_the_template_asks_for(text: str) -> None:
    words = ["<think>", "and"]
    disguise = Disguise(["and", "<think>", " "])
    assert disguise(text, 3, "content") == disguised_slowly(text, words, 0xF0000 + 4 * 64 + 32)
    as_json = disguise(text, 3, "content", as_json=True)
    assert as_json == disguised_slowly(text, words, 0xF0000 + 4 * 64 + 32, escapes=("\\n",))
    assert disguise(text, 0, "name") == text


def test_a_disguise_of_one_text() -> None:
    told = Disguise(["and"])("B and Andy_1!", 0, "reasoning_content")
    # Code points modulo 31: B 4; A 3, n 17, d 7, y 28; 1 18.
    assert told == "\U000f0044 and \U000f0043\U000f0051\U000f0047\U000f005c_\U000f0052!"

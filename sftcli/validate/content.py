"""Text -> what is wrong with its content: the rules of family C that look at characters."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from sftcli.validate.secrets import api_tokens, private_keys, web_tokens
from sftcli.validate.texts import Text

# Groups of rules that look for the same bytes first; they add up.
FENCE: Final = 1
THINK: Final = 2
CONTROL: Final = 4
SECRET: Final = 8
CHARACTERS: Final = 16
ALL: Final = 31


class Flaw(NamedTuple):
    """A rule's name, where in the text it is broken (a code point from 0), and what is there.

    `at` is None where the text as a whole breaks the rule.
    """

    name: str
    at: int | None
    message: str


# What the built-in templates write between turns, and the other forms that are in use. `<s>` and
# `</s>` are left to the tokenizers that have them: in HTML they strike text through.
CONTROL_TEXTS = (
    "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|user|>", "<|assistant|>",
    "<|system|>", "<|end|>", "<|start|>", "<|message|>", "<|channel|>", "<|return|>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<｜User｜>", "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
)  # fmt: skip

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# The overrides, embeddings and isolates of CVE-2021-42574. The marks U+200E, U+200F and U+061C stay:
# people who write from right to left need them.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
# The first byte of a character in UTF-8 and those that continue it, read as Windows-1252.
_CONTINUES = (
    "[\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]"
)
_GARBLED = re.compile(
    f"[\u00c2-\u00df]{_CONTINUES}|[\u00e0-\u00ef]{_CONTINUES}{{2}}|[\u00f0-\u00f4]{_CONTINUES}{{3}}"
)
# Any of these; most texts that are looked at have none.
_ODD = re.compile(f"{_UNPRINTABLE.pattern}|{_BIDI.pattern}|\ufffd|{_GARBLED.pattern}")
_PLAIN = b"\t\n\r" + bytes(range(0x20, 0x7F))
# A fence on a line of its own, or the first thing in a quotation or an item of a list.
_FENCE = re.compile(
    r"^[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]*+)?(`{3,}+(?=[^`\n]*+$)|~{3,}+)([^\n]*+)$", re.MULTILINE
)
_TICKS = re.compile(r"`+|\n[ \t]*+\n")
_MOST_LOOKS = 100  # at what may be garbled, of one text
_MOST_SHOWN = 16  # characters before and after a place
_SENTENCE = 400  # characters at the end of an answer that are looked at
_THINK = re.compile("</?think>")
_SHOWN_BIDI = {
    "\u202a": "LEFT-TO-RIGHT EMBEDDING", "\u202b": "RIGHT-TO-LEFT EMBEDDING",
    "\u202c": "POP DIRECTIONAL FORMATTING", "\u202d": "LEFT-TO-RIGHT OVERRIDE",
    "\u202e": "RIGHT-TO-LEFT OVERRIDE", "\u2066": "LEFT-TO-RIGHT ISOLATE",
    "\u2067": "RIGHT-TO-LEFT ISOLATE", "\u2068": "FIRST STRONG ISOLATE", "\u2069": "POP DIRECTIONAL ISOLATE",
}  # fmt: skip
_UNENDED = re.compile(
    r"(?:[,;(\u2013\u2014]|\b(?:a|an|and|are|as|at|be|by|for|from|in|into|is|of|on|or|than|that|the|their"
    r"|to|was|were|which|who|with|your))$",
    re.IGNORECASE,
)
# A sentence that ended, and after it in the same line some words of one that did not.
_BROKEN_OFF = re.compile(r"[.!?][\"')\]]?\s+[A-Z][^.!?\n]*\s\S+\s[a-z]+$")


# The beginning of an item of a list, of a row of a table, of a heading, of a quotation or of code.
_NO_SENTENCE = re.compile(r"[ \t]*+(?:[-*+\u2022|>#]|\(?\w{1,3}[.)]\s|\w[^.!?]{0,30}:\s)|\t| {4}")


class ContentRules:
    """Looks at texts for the rules whose names are in `names`.

    `control_texts` are what must not stand in data, the tokenizer's own among them.
    """

    def __init__(self, names: Iterable[str], control_texts: Iterable[str] = CONTROL_TEXTS) -> None:
        wanted = set(names)
        self.control_texts = tuple(dict.fromkeys((*CONTROL_TEXTS, *control_texts)))
        longest_first = sorted(self.control_texts, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)))
        tests: Mapping[str, tuple[int, Callable[[Text], Iterator[Flaw]]]] = {
            "control_text": (CONTROL, self._control_text),
            "replacement_character": (CHARACTERS, _replacement_character),
            "mojibake": (CHARACTERS, _mojibake),
            "unprintable_character": (CHARACTERS, _unprintable),
            "bidi_character": (CHARACTERS, _bidi_character),
            "open_fence": (FENCE, _open_fence),
            "open_think": (THINK, _open_think),
            "private_key": (SECRET, _private_key),
            "api_token": (SECRET, _api_token),
            "web_token": (SECRET, _web_token),
        }
        self._tests = [test for name, test in tests.items() if name in wanted]
        # Rules that every text has to pass, since nothing in its bytes gives it away.
        self.needs_all = "cut_answer" in wanted
        self.groups = 0
        for group, _ in self._tests:
            self.groups |= group
        self.web_tokens = "web_token" in wanted

    def flaws(self, text: Text, groups: int = ALL) -> Iterator[Flaw]:
        """What is wrong with a text, of the rules in `groups`; each rule once."""
        if groups & CHARACTERS and not _is_odd(text.text):
            groups &= ~CHARACTERS
        for group, test in self._tests:
            if group & groups:
                yield from test(text)
        if self.needs_all:
            yield from _cut_answer(text)

    def _control_text(self, text: Text) -> Iterator[Flaw]:
        yield from _first("control_text", self._control, text, lambda found: f"{found!r} in the data")


def _is_odd(text: str) -> bool:
    """Whether a text may hold a character that one of the rules is about."""
    if text.isascii():
        return bool(text.encode().translate(None, _PLAIN))
    return _ODD.search(text) is not None


def _first(name: str, pattern: re.Pattern[str], text: Text, say: Callable[[str], str]) -> Iterator[Flaw]:
    """The first place of a pattern, and how many more there are."""
    match = pattern.search(text.text)
    if match is None:
        return
    more = sum(1 for _ in pattern.finditer(text.text, match.end()))
    yield Flaw(name, match.start(), say(match[0]) + (f", and {more} more" if more else ""))


def _replacement_character(text: Text) -> Iterator[Flaw]:
    count = text.text.count("\ufffd")
    if count:
        more = f", and {count - 1} more" if count > 1 else ""
        yield Flaw(
            "replacement_character", text.text.index("\ufffd"), f"U+FFFD: a character was lost here{more}"
        )


def _mojibake(text: Text) -> Iterator[Flaw]:
    for at, word in maybe_garbled(text.text):
        message = garbled_message(word)
        if message is not None:
            yield Flaw("mojibake", at, message)
            return


def maybe_garbled(text: str) -> Iterator[tuple[int, str]]:
    """Where letters are that may be mojibake, each with the word that it is in."""
    for match in islice(_GARBLED.finditer(text), _MOST_LOOKS):
        yield match.start(), _word(text, match.start())


def garbled_message(word: str) -> str | None:
    """What is wrong with a word that is mojibake; None where its letters are meant."""
    import ftfy  # judges by what the letters would be, and by what stands around them

    mended = ftfy.fix_encoding(word)
    return None if mended == word else f"{word!r} is {mended!r} in UTF-8 that was read as something else"


def _word(text: str, at: int) -> str:
    """The word that a place is in, cut short where it is long."""
    before = re.split(r"\s", text[max(0, at - _MOST_SHOWN) : at])[-1]
    return before + re.split(r"\s", text[at : at + _MOST_SHOWN], maxsplit=1)[0]


def _unprintable(text: Text) -> Iterator[Flaw]:
    def say(found: str) -> str:
        return f"U+{ord(found):04X}, a control character"

    yield from _first("unprintable_character", _UNPRINTABLE, text, say)


def _bidi_character(text: Text) -> Iterator[Flaw]:
    def say(found: str) -> str:
        return f"U+{ord(found):04X} {_SHOWN_BIDI[found]}: what follows is shown in another order"

    yield from _first("bidi_character", _BIDI, text, say)


def _open_fence(text: Text) -> Iterator[Flaw]:
    """As in CommonMark: as many of the same marks or more close a block, and nothing stands behind them."""
    if text.part != "answer":
        return
    fences = list(_FENCE.finditer(text.text))
    longest = _longest_after(fences)
    at = 0
    while at < len(fences):
        opened = fences[at]
        mark, size = opened[1][0], len(opened[1])
        if longest[at].get(mark, 0) >= size:
            at = next(later for later in range(at + 1, len(fences)) if _closes(opened, fences[later])) + 1
        elif mark == "`" or opened[2].strip():
            yield Flaw("open_fence", opened.start(1), f"{opened[1]}{opened[2].strip()[:20]} is never closed")
            return
        else:
            at += 1  # tildes alone that nothing closes are a line that is drawn below a title


def _longest_after(fences: Sequence[re.Match[str]]) -> list[dict[str, int]]:
    """For each fence how long the longest after it is that can close one, by its mark."""
    found: list[dict[str, int]] = []
    longest: dict[str, int] = {}
    for fence in reversed(fences):
        found.append(longest)
        mark, size = fence[1][0], len(fence[1])
        if not fence[2].strip() and size > longest.get(mark, 0):
            longest = {**longest, mark: size}
    return found[::-1]


def _closes(opened: re.Match[str], other: re.Match[str]) -> bool:
    return other[1].startswith(opened[1]) and not other[2].strip()


def _open_think(text: Text) -> Iterator[Flaw]:
    if text.part != "answer":
        return
    flaw = _unpaired(_THINK.finditer(text.text))
    if flaw is None:
        return
    code = _code(text.text)
    # A tag in code is talked about, unless it is the other half of one that is not.
    ends = [end for _, end in code]
    said = []
    for tag in _THINK.finditer(text.text):
        at = bisect_right(ends, tag.start())
        if at == len(code) or tag.start() < code[at][0]:
            said.append(tag)
    if _unpaired(said) is not None:
        yield flaw


def _unpaired(tags: Iterable[re.Match[str]]) -> Flaw | None:
    opened: re.Match[str] | None = None
    for tag in tags:
        if (tag[0] == "<think>") == (opened is not None):
            what = "<think> inside <think>" if opened else "</think> without <think> before it"
            return Flaw("open_think", tag.start(), what)
        opened = None if opened else tag
    return Flaw("open_think", opened.start(), "<think> is never closed") if opened else None


def _code(text: str) -> list[tuple[int, int]]:
    """Where code stands between as many backticks before and after it; one or two end with a paragraph."""
    spans: list[tuple[int, int]] = []
    opened: dict[int, int] = {}
    for match in _TICKS.finditer(text):
        size = len(match[0])
        if match[0][0] != "`":
            opened.pop(1, None)
            opened.pop(2, None)
        elif size in opened:
            spans.append((opened[size], match.end()))
            opened = {}
        else:
            opened[size] = match.start()
    return spans


def _private_key(text: Text) -> Iterator[Flaw]:
    for at in private_keys(text.text):
        yield Flaw("private_key", at, "a private key")


def _api_token(text: Text) -> Iterator[Flaw]:
    for at, what in api_tokens(text.text):
        yield Flaw("api_token", at, what)


def _web_token(text: Text) -> Iterator[Flaw]:
    for at in web_tokens(text.text):
        yield Flaw("web_token", at, "a JSON Web Token")


def _cut_answer(text: Text) -> Iterator[Flaw]:
    if text.part != "answer":
        return
    last = text.text.rstrip().rpartition("\n")[2][-_SENTENCE:]
    if _NO_SENTENCE.match(last) or _in_block(text.text):
        return
    if len(last.split()) >= 5 and (_UNENDED.search(last) or _BROKEN_OFF.search(last)):
        end = " ".join(last.split()[-4:])[-40:]
        yield Flaw(
            "cut_answer", len(text.text.rstrip()) - 1, f"the answer ends in the middle of a sentence: {end!r}"
        )


def _in_block(text: str) -> bool:
    """Whether a text ends inside a block of code."""
    return sum(1 for fence in _FENCE.finditer(text) if fence[1][0] == "`") % 2 == 1

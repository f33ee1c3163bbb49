"""Which lines of a block the rules on content must look at, and for what.

A few passes over the block's bytes find the few lines that hold anything of interest; text that
holds none of it breaks none of these rules. Strings with escapes are looked at for everything, since `<`
may be written as \\u003c.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate

from sftcli.read import LineBlock
from sftcli.validate.content import ALL, CHARACTERS, CONTROL, FENCE, SECRET, THINK, ContentRules
from sftcli.validate.secrets import ANCHORS, WEB_TOKEN_ANCHORS

_Matches = list[tuple[int, int, int]]  # of each: the number of its text, its start and its stop

# What makes a line worth a look for its characters, and what may stand for a character of ASCII.
_ESCAPES = {
    **{f"\\u00{digit}": ALL for digit in range(2, 8)},
    "\\u": CHARACTERS | CONTROL,  # some control tokens have letters beyond ASCII
    **dict.fromkeys(("\\b", "\\f"), CHARACTERS),
    "\\/": THINK | CONTROL,
}
_DELETE = b"\x7f"
_AT_ONCE = 2 << 20  # bytes that are searched at a time: a line may be one escape after another


class Suspects:
    """Finds the lines that `rules` have something to look for in."""

    def __init__(self, rules: ContentRules) -> None:
        # All texts such as <|end|> begin alike; to look for their beginning is to look for them all.
        control = sorted({"<|" if text.startswith("<|") else text for text in rules.control_texts})
        secrets = (*ANCHORS, *(WEB_TOKEN_ANCHORS if rules.web_tokens else ()))
        marks = {
            **dict.fromkeys(control, CONTROL),
            **dict.fromkeys(("<think>", "</think>"), THINK),
            **dict.fromkeys(("```", "~~~"), FENCE),
        }
        # Few texts at a time are found ten times faster than all together.
        tables = (dict.fromkeys(secrets, SECRET), marks, _ESCAPES)
        wanted = ({text: group & rules.groups for text, group in table.items()} for table in tables)
        self._finders = [_Finder(table) for table in wanted if any(table.values())]

    def of(self, block: LineBlock) -> Mapping[int, int]:
        """The suspicious lines by their index, each with the groups of rules to look for."""
        found: dict[int, int] = {}
        lines, joined = block.lines, block.text
        if not joined.isascii() or _DELETE in joined:
            odd = (index for index, line in enumerate(lines) if not line.isascii() or _DELETE in line)
            found = dict.fromkeys(odd, CHARACTERS)
        starts: list[int] = []
        for finder in self._finders:
            for begin, matches in finder.matches(joined):
                for pattern, start, _ in matches:
                    starts = starts or list(accumulate((len(line) + 1 for line in lines), initial=0))
                    index = bisect_right(starts, begin + start) - 1
                    found[index] = found.get(index, 0) | finder.groups[pattern]
        return found


class _Finder:
    """Finds the texts of a table in bytes; `groups` has the group of each."""

    def __init__(self, table: Mapping[str, int]) -> None:
        import ahocorasick_rs

        texts = [text.encode() for text, group in table.items() if group]
        self.groups = [group for group in table.values() if group]
        self._longest = max(map(len, texts))
        search = ahocorasick_rs.BytesAhoCorasick(texts, matchkind=ahocorasick_rs.MatchKind.LeftmostFirst)
        self._find = search.find_matches_as_indexes

    def matches(self, text: bytes) -> Iterator[tuple[int, _Matches]]:
        """The matches from the left, as of all of the text at once: those of a part, and where it begins."""
        begin = 0
        while len(text) - begin > _AT_ONCE:
            found = self._find(text[begin : begin + _AT_ONCE])
            # A match that begins later might be another one if more of the text were seen.
            seen = _AT_ONCE - self._longest + 1
            while found and found[-1][1] >= seen:
                found.pop()
            yield begin, found
            begin += max(seen, found[-1][2] if found else 0)
        yield begin, self._find(text[begin:] if begin else text)

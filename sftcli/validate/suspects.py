"""Which lines of a block the rules on content must look at, and for what.

A few passes over the block's bytes find the few lines that hold anything of interest; text that
holds none of it breaks none of these rules. Strings with escapes are looked at for everything, since `<`
may be written as \\u003c.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate

from sftcli.read import LineBlock
from sftcli.validate.content import ALL, CHARACTERS, CONTROL, FENCE, SECRET, THINK, ContentRules
from sftcli.validate.secrets import ANCHORS, WEB_TOKEN_ANCHORS

_Finder = tuple[Callable[[bytes], list[tuple[int, int, int]]], list[int]]

# What makes a line worth a look for its characters, and what may stand for a character of ASCII.
_ESCAPES = {
    **{f"\\u00{digit}": ALL for digit in range(2, 8)},
    "\\u": CHARACTERS | CONTROL,  # some control tokens have letters beyond ASCII
    **dict.fromkeys(("\\b", "\\f"), CHARACTERS),
    "\\/": THINK | CONTROL,
}
_DELETE = b"\x7f"


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
        self._finders = [_finder(table) for table in wanted if any(table.values())]

    def of(self, block: LineBlock) -> Mapping[int, int]:
        """The suspicious lines by their index, each with the groups of rules to look for."""
        found: dict[int, int] = {}
        lines, joined = block.lines, block.text
        if not joined.isascii() or _DELETE in joined:
            odd = (index for index, line in enumerate(lines) if not line.isascii() or _DELETE in line)
            found = dict.fromkeys(odd, CHARACTERS)
        starts: list[int] = []
        for find, groups in self._finders:
            for pattern, start, _ in find(joined):
                starts = starts or list(accumulate((len(line) + 1 for line in lines), initial=0))
                index = bisect_right(starts, start) - 1
                found[index] = found.get(index, 0) | groups[pattern]
        return found


def _finder(table: Mapping[str, int]) -> _Finder:
    """What finds the texts of a table in bytes, and the group of each."""
    import ahocorasick_rs

    texts = [text for text, group in table.items() if group]
    search = ahocorasick_rs.BytesAhoCorasick(
        [text.encode() for text in texts], matchkind=ahocorasick_rs.MatchKind.LeftmostFirst
    )
    return search.find_matches_as_indexes, [table[text] for text in texts]

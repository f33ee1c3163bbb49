"""Which lines of a block the rules on content must look at, and for what.

One pass over the block's bytes finds the few lines that hold anything of interest; text that holds
none of it breaks none of these rules. Strings with escapes are looked at for everything, since `<`
may be written as \\u003c.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from sftcli.validate.content import ALL, CHARACTERS, CONTROL, FENCE, SECRET, THINK, ContentRules
from sftcli.validate.secrets import ANCHORS, WEB_TOKEN_ANCHORS

# What makes a line worth a look for its characters, and what may stand for a character of ASCII.
_ESCAPES = {
    **dict.fromkeys((b"\\u", b"\\b", b"\\f", b"\x7f"), CHARACTERS),
    **{f"\\u00{digit}".encode(): ALL for digit in range(2, 8)},
    b"\\/": THINK | CONTROL,
}


class Suspects:
    """Finds the lines that `rules` have something to look for in."""

    def __init__(self, rules: ContentRules) -> None:
        import ahocorasick_rs

        # All texts such as <|end|> begin alike; to look for their beginning is to look for them all.
        control = {"<|" if text.startswith("<|") else text for text in rules.control_texts}
        secrets = (*ANCHORS, *(WEB_TOKEN_ANCHORS if rules.web_tokens else ()))
        groups = dict(_ESCAPES)
        for group, texts in (
            (SECRET, secrets),
            (CONTROL, sorted(control)),
            (FENCE, ("```",)),
            (THINK, ("<think>", "</think>")),
        ):
            if rules.groups & group:
                groups |= {text.encode(): group for text in texts}
        self._groups = list(groups.values())
        self._find = ahocorasick_rs.BytesAhoCorasick(
            list(groups), matchkind=ahocorasick_rs.MatchKind.LeftmostLongest
        ).find_matches_as_indexes

    def of(self, lines: Sequence[bytes]) -> Mapping[int, int]:
        """The suspicious lines by their index, each with the groups of rules to look for."""
        found: dict[int, int] = {}
        joined = b"\n".join(lines)
        if not joined.isascii():
            found = {index: CHARACTERS for index, line in enumerate(lines) if not line.isascii()}
        matches = self._find(joined)
        if matches:
            starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
            groups = self._groups
            for pattern, start, _ in matches:
                index = bisect_right(starts, start) - 1
                found[index] = found.get(index, 0) | groups[pattern]
        return found

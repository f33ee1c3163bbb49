"""A text -> lines that fit a screen."""

import re

from sftcli.view.cells import width_of

# A word, or what two backticks hold together; a backtick without another is a letter.
_WORDS = re.compile(r"(?:`[^`]*`|[^ `]|`)+")


def folded(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, cut between words; a longer word has a line of its own.

    What stands between backticks is for copying, and is one word.
    """
    lines: list[str] = []
    for word in _WORDS.findall(text):
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines or [""]

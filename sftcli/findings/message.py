"""A finding's words, made safe and of a length that can be shown."""

from sftcli.view.cells import one_line

MOST_SHOWN = 1_000  # code points of one message; it may quote a value of any size


def shown(message: str, ascii_only: bool = False) -> str:
    """A message on one line, without what a terminal or a CI system would act on, cut where long.

    It ends in what was cut: `... (1,048,576 characters)`.
    """
    if len(message) <= MOST_SHOWN:
        return one_line(message, ascii_only)
    dots = "..." if ascii_only else "…"
    return f"{one_line(message[:MOST_SHOWN], ascii_only)}{dots} ({len(message):,} characters)"


def counted(number: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"

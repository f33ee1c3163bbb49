"""Waiting for a page."""

import time
from typing import Any


def until(page: Any, expression: str) -> None:
    """Wait, for ten seconds at most, until the expression is true.

    The page's policy forbids what playwright's own wait_for_function does: it polls with eval.
    """
    end = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"still not true: {expression}"
        time.sleep(0.01)


def open_row(page: Any, number: int) -> None:
    """Open a row as a link to it would."""
    page.evaluate(f"location.hash = '#row={number}'")
    until(page, f"document.getElementById('row-title').textContent === 'Row {number}'")

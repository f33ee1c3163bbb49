"""What tests do on a page, and what they see there."""

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


def listed(page: Any) -> list[str]:
    return page.eval_on_selector_all("#list .item b", "all => all.map(one => one.textContent)")


def opened(page: Any) -> str:
    return page.inner_text("#row-title")


def shown(page: Any) -> str:
    """The text of the row that is on the screen; signs that the page adds are not part of it."""
    return page.inner_text("#row .body")


def hits(page: Any, name: str = "found") -> list[str]:
    return page.evaluate(f"[...CSS.highlights.get('{name}') ?? []].map(String)")


def keys(page: Any, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)

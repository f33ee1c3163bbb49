"""A real Chromium that opens pages of rows, and what it must never see on one."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from on_page import until

from sftcli.view.html import write_html
from sftcli.view.row import RowView

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: the tests run as root in containers too. The rest keeps the browser from calling home.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FIGURES = Path(__file__).parents[2] / "out" / "browser-figures.json"
_figures: dict[str, Any] = {}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright; `make test-browser` installs it"
    )
    chromium = next(filter(None, map(shutil.which, _NAMES)), None)
    if chromium is None:
        pytest.skip("needs Chromium: none is installed (tests/browser/install_chromium.sh says why)")
    with api.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield running
        running.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`show(rows)` opens a page of rows, from a file, as a person would.

    At the end no page may have asked for anything but itself, nor have said anything in the
    console, nor have been left with an error.
    """
    contexts, wrong = [], []

    def open_rows(
        rows: Iterable[RowView],
        title: str = "rows",
        facts: Mapping[str, str] | None = None,
        fragment: str = "",
        quiet: bool = True,
        query: str = "",
        **options: Any,
    ) -> Any:
        file = tmp_path / f"page-{len(contexts)}.html"
        with file.open("w", encoding="ascii", newline="\n") as out:
            write_html(rows, out, title, facts or {}, query)
        return open_file(file, fragment, quiet, **options)

    def open_file(file: Path, fragment: str = "", quiet: bool = True, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 850}, **options})
        contexts.append(context)
        page = context.new_page()
        address = file.as_uri()
        if quiet:
            page.on("console", lambda message: wrong.append(f"console: {message.text}"))
            page.on("pageerror", lambda problem: wrong.append(f"error: {problem}"))
            page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
            page.on(
                "request",
                lambda request: (
                    request.url.split("#")[0] == address or wrong.append(f"request: {request.url}")
                ),
            )
        page.goto(address + fragment)
        until(page, "document.getElementById('totals').textContent !== 'loading\\u2026'")
        return page

    open_rows.file = open_file  # type: ignore[attr-defined]
    yield open_rows
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def figures() -> dict[str, Any]:
    """What the tests measured: printed at the end, and kept in out/browser-figures.json."""
    return _figures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _figures:
        return
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(_figures, indent=2) + "\n", encoding="utf-8")
    terminalreporter.section("measured in Chromium")
    for name, values in _figures.items():
        terminalreporter.line(name)
        for what, value in values.items():
            terminalreporter.line(f"  {what:<34} {value}")

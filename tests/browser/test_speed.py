"""How large a page of many rows is and how quickly it answers.

What is measured is printed and kept, and not asserted: machines differ. The counts are asserted.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_rows import lengthened, problems
from on_page import until

from sftcli.view.html import write_html
from sftcli.view.row import RowView

pytest_plugins = ["chromium"]

# From the act to the frame that shows it, in milliseconds.
ANSWER = """async (act) => {
  const start = performance.now();
  (new Map(Object.entries({
    click: () => document.getElementById(act.id).click(),
    input: () => {
      const field = document.getElementById(act.id);
      field.value = act.value;
      field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input', {bubbles: true}));
    },
    key: () => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: act.value, bubbles: true})),
  }))).get(act.kind)();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""
ACTS = {
    "next row": {"kind": "key", "value": "j"},
    "toggle masked": {"kind": "click", "id": "masked"},
    "toggle control": {"kind": "click", "id": "control"},
    "toggle borders": {"kind": "click", "id": "borders"},
    "toggle targets": {"kind": "click", "id": "targets"},
    "filter by length": {"kind": "input", "id": "tokens-least", "value": "150"},
    "order by length": {"kind": "input", "id": "order", "value": "longest first"},
    "search": {"kind": "input", "id": "search", "value": "half as many"},
}


@pytest.fixture(scope="module")
def some() -> list[RowView]:
    # As the fixture `shared`, which would skip: here the bundled problems do as well.
    folder = Path(os.environ.get("SFTCLI_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    return problems(folder if (folder / "tokenizers" / "llama3").is_dir() else None, 1_000)


@pytest.mark.parametrize("kind", ["1,000 problems", "1,000 rows of 4,000 tokens", "10,000 problems"])
def test_many_rows(
    show: Callable[..., Any], some: list[RowView], figures: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    rows = {
        "1,000 problems": lambda: some,
        "1,000 rows of 4,000 tokens": lambda: lengthened(some[:20], 4_000) * 50,
        "10,000 problems": lambda: some * 10,
    }[kind]()
    tokens = sum(view.counts.tokens for view in rows)
    trained = sum(view.counts.trained for view in rows)
    file = tmp_path / "many.html"
    start = time.perf_counter()
    with file.open("w") as out:
        write_html(rows, out, kind, {})
    made = time.perf_counter() - start

    page = show.file(file)  # type: ignore[attr-defined]
    said = f"{len(rows):,} rows · {tokens:,} tokens · {trained:,} trained ({100 * trained / tokens:.1f}%)"
    assert page.inner_text("#totals") == said
    assert page.locator("#list .item").count() < 40
    until(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.focus("#list")
    page.keyboard.press("End")
    assert page.get_attribute("#list .item[aria-selected=true]", "aria-posinset") == str(len(rows))
    page.keyboard.press("Home")

    measured = {
        "tokens": tokens,
        "size, MB": round(file.stat().st_size / 1e6, 2),
        "time to make, s": round(made, 2),
    }
    measured |= {"first paint, ms": round(paint)}
    for name, act in ACTS.items():
        taken = [page.evaluate(ANSWER, act) for _ in range(6)]
        measured[f"{name}, ms"] = f"{statistics.median(taken):.0f} (first {taken[0]:.0f})"
    figures[kind] = measured

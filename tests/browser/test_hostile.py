"""Data that would like to be more than data. `show` fails where a page said, asked or ran anything."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_rows import row
from on_page import open_row

from sftcli.view.cells import cells
from sftcli.view.html import write_html
from sftcli.view.row import RowView, Source, TokenView

pytest_plugins = ["chromium"]

Show = Callable[..., Any]
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!--<script>",
    "-->]]><![CDATA[",
    "<img src=x onerror=alert(3)>",
    "<svg onload=alert(4)><style>*{display:none}</style>",
    '" onmouseover="alert(5)" style="position:fixed',
    "javascript:alert(6)",
    "<iframe src='http://example.com/'></iframe><link rel=stylesheet href=//example.com>",
    "<meta http-equiv=refresh content='0;url=http://example.com/'>",
    "</textarea></title></style></template>",
    "\u2028\u2029",
    "\u202e\u2066evil\u2069\u202c",
    "\0\x08\x1b[2J\x9b\ufeff\ufffe",
    "{{style}}{{rows}}${alert(7)}`",
    "&lt;b&gt;&amp;&#60;",
    "__proto__",
]
TRICKY = "ab é\u0301\u0300\u200d\u200c\u202e\u2066\u00ad\u200b\ufeff\0\x1b\x7f\x9b\r\n\t"
TRICKY += "↵␣⇥⟦⟧👩🏽👧\ufe0f日本한\u1161ש\u2028"


def test_everything_from_data_is_text(show: Show) -> None:
    rows = []
    for number, text in enumerate(HOSTILE):
        tokens = (
            TokenView(0, 0, text, -100, False, False, "content", 0, text),
            TokenView(1, 1, text, 1, True, True, "content", 1, text),
        )
        source = Source(text, 1)
        rows.append(RowView(number, source, tokens, id=text, dropped=text, marks=(text,)))
    page = show(rows, HOSTILE[0], {text: text for text in HOSTILE})
    for number, text in enumerate(HOSTILE):
        open_row(page, number)
        safe = "".join(cell.text for cell in cells(text))
        assert page.eval_on_selector_all("#row .t", "all => all.map(one => one.textContent)") == [safe, safe]
        assert page.text_content(".speaker .role") == safe
        assert page.text_content(".place bdi") == f"{safe}:1"
        page.hover("#row .t")
        for key in "tmcbtmcb":
            page.keyboard.press(key)
    page.fill("#search", "<script>")
    page.keyboard.press("f")
    assert page.locator("#marks input").count() == 1 + len(HOSTILE)
    inside = "script:not([type]), iframe, img, object, embed, svg, base, form:not(.find):not([method])"
    assert page.locator(inside).count() == 0


def test_what_is_written_out_is_what_the_terminal_writes_out(show: Show) -> None:
    choose = random.Random(7)
    texts = [["".join(choose.choices(TRICKY, k=choose.randint(0, 4))) for _ in range(9)] for _ in range(150)]
    page = show([row(number, ("user", *parts)) for number, parts in enumerate(texts)])
    for parts in texts:
        whole = "".join(cell.text for cell in cells("".join(parts)))
        assert page.text_content("#row .text").removeprefix("masked: ") == whole
        page.keyboard.press("j")


def test_the_policy_lets_no_other_script_run(show: Show, tmp_path: Path) -> None:
    file = tmp_path / "other.html"
    with file.open("w") as out:
        write_html([row(0, ("user", "a"))], out, "rows", {})
    page = file.read_text()
    # As if data had become markup after all.
    worse = "<script>globalThis.ran = 1</script><style>h1 {color: red}</style>"
    worse += "<img src='x.png' onerror='globalThis.ran = 2'>"
    file.write_text(page.replace("<noscript>", worse + "<noscript>"))
    opened = show.file(file, quiet=False)  # type: ignore[attr-defined]
    assert opened.evaluate("globalThis.ran") is None
    assert opened.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
    refused = opened.evaluate(
        "try { document.body.innerHTML = '<b>'; 'no' } catch (problem) { problem.name }"
    )
    assert refused == "TypeError"
    fetched = opened.evaluate("fetch('http://example.com/').then(() => 'yes', () => 'no')")
    assert fetched == "no"

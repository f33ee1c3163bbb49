"""Searching, filtering, and going from row to row and from token to token, in a real Chromium."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from made_rows import row, talks
from on_page import hits, keys, listed, opened, until

pytest_plugins = ["chromium"]

Show = Callable[..., Any]


def test_search_finds_across_tokens_and_counts(show: Show) -> None:
    page = show(talks())
    page.fill("#search", "s up?<")
    assert page.inner_text("#count") == "1 of 4 rows · 1 match"
    assert listed(page) == ["0"]
    assert hits(page) == ["s", " up", "?", "<"]  # by token, and not the turn's name between them
    assert page.inner_text("#hits") == "1 in this row"
    page.fill("#search", "START|>")
    assert page.inner_text("#count") == "4 of 4 rows · 7 matches"
    keys(page, "Enter", "n", "n")
    assert hits(page, "current") == ["start|>"]
    assert page.inner_text("#hits") == "1 of 2"
    keys(page, "N")
    assert page.inner_text("#hits") == "2 of 2"
    page.fill("#search", "/^(is|be)\\b|\\d\\+/")
    assert page.inner_text("#count") == "1 of 4 rows · 1 match"
    page.fill("#search", "/(/")
    assert "Invalid regular expression" in page.inner_text("#count")
    page.fill("#search", "nowhere")
    assert page.inner_text("#count") == "0 of 4 rows · 0 matches"
    page.fill("#search", "")
    assert page.inner_text("#count") == "4 rows"
    assert hits(page) == []


def test_a_page_opens_with_the_search_that_its_rows_were_found_with(show: Show) -> None:
    far = row(4, ("user", *["word "] * 4_000), ("assistant", "", "Paris"))
    page = show([*talks(), far], query="Paris", fragment="#row=4")
    assert page.input_value("#search") == "Paris"
    assert page.get_attribute("#exact", "aria-pressed") == "true"
    assert page.inner_text("#count") == "2 of 5 rows \u00b7 2 matches"
    assert opened(page) == "Row 4"
    assert hits(page) == ["Paris"]
    until(page, "document.querySelector('#row .run.trained').getBoundingClientRect().bottom < innerHeight")
    assert page.evaluate("scrollY") == 0
    page = show(talks(), query="/is up|Paris/")
    assert listed(page) == ["0", "2"]


def test_search_matches_case_when_asked(show: Show) -> None:
    page = show(talks())
    page.fill("#search", "capital OF")
    assert listed(page) == ["2"]
    page.click("#exact")
    assert page.get_by_role("button", name="Match case", pressed=True).count() == 1
    assert listed(page) == []
    page.fill("#search", "Capital of")
    assert listed(page) == ["2"]
    page.fill("#search", "/^NOT/")
    assert listed(page) == []
    page.click("#exact")
    assert page.get_by_role("button", name="Match case", pressed=False).count() == 1
    page.fill("#search", "/NOT/")
    assert listed(page) == ["0"]


def test_a_search_opens_the_first_row_it_finds(show: Show) -> None:
    far = row(4, ("user", *["word "] * 4_000), ("assistant", "", "needle"))
    page = show([*talks(), far])
    page.fill("#search", "france")
    assert opened(page) == "Row 2"
    assert hits(page) == ["France"]
    assert page.evaluate("document.activeElement.id") == "search"
    page.fill("#search", "what")  # in the open row too, which stays
    assert listed(page) == ["0", "2"]
    assert opened(page) == "Row 2"
    page.fill("#search", "nowhere")
    assert opened(page) == "Row 2"
    page.fill("#search", "needle")
    assert opened(page) == "Row 4"
    until(page, "[...document.querySelectorAll('#row .t')].at(-1).getBoundingClientRect().bottom < 850")
    page.evaluate("document.getElementById('reader').scrollTop = 0")
    page.fill("#search", "eedle")  # the row is open already
    until(page, "document.getElementById('reader').scrollTop > 1000")
    page.fill("#search", "")
    assert opened(page) == "Row 4"


def test_search_marks_what_is_written_out(show: Show) -> None:
    page = show([row(0, ("user", "", "a\u202eb", "\u0301c\n", "😀 d"))])
    page.fill("#search", "\u202eb\u0301c")
    assert hits(page) == ["\\u202e", "b", "\u0301c"]
    page.fill("#search", "/c\\n./")
    assert hits(page) == ["c", "\n", "😀"]


def test_filters_narrow_the_list(show: Show) -> None:
    page = show(talks())
    keys(page, "f")
    for field, value, rows in (
        ("#tokens-least", "10", ["0", "2"]),
        ("#tokens-most", "6", ["1", "3"]),
        ("#share-least", "37.5", ["0", "2"]),
        ("#share-most", "33.3", ["1", "3"]),
        ("#turns-least", "3", ["2"]),
        ("#turns-most", "1", ["3"]),
    ):
        page.fill(field, value)
        assert listed(page) == rows
        assert page.inner_text("#count") == f"{len(rows)} of 4 rows"
        page.click("#clear")
        assert listed(page) == ["0", "1", "2", "3"]
    assert page.inner_text("#marks").split() == ["dropped", "1", "straddle", "2", "zero-trained", "1"]
    page.check("#marks input[value=straddle]")
    assert listed(page) == ["2", "3"]
    page.fill("#search", "france")
    assert listed(page) == ["2"]


def test_rows_are_put_in_order(show: Show) -> None:
    page = show(talks())
    for order, rows in (
        ("longest first", ["2", "0", "1", "3"]),
        ("shortest first", ["3", "1", "0", "2"]),
        ("least trained first", ["3", "1", "2", "0"]),
        ("most trained first", ["0", "2", "1", "3"]),
        ("in order", ["0", "1", "2", "3"]),
    ):
        page.select_option("#order", order)
        assert listed(page) == rows


def test_the_keyboard_is_enough(show: Show) -> None:
    page = show(talks())
    keys(page, "j", "j")
    assert opened(page) == "Row 2"
    keys(page, "k")
    assert opened(page) == "Row 1"
    page.focus("#list")
    keys(page, "End")
    assert opened(page) == "Row 3"
    keys(page, "ArrowUp", "Enter")
    focused = "document.activeElement.dataset.i"
    assert page.evaluate(focused) == "0"
    keys(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert page.evaluate(focused) == "1"
    assert page.inner_text("#card .piece") == "Be"
    assert page.get_attribute("[data-i='1']", "aria-describedby") == "card"
    keys(page, "m", "ArrowRight")  # masked tokens are gone: on to what is left
    assert page.evaluate(focused) == "10"
    keys(page, "Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    assert not page.is_visible("#card")
    keys(page, "/")
    page.keyboard.type("mj")
    assert page.input_value("#search") == "mj"
    keys(page, "Escape")
    assert page.input_value("#search") == ""
    keys(page, "Escape", "?")
    assert page.is_visible("#keys")
    keys(page, "j", "Escape")
    assert not page.is_visible("#keys")
    assert opened(page) == "Row 0"  # which holds an m: the search opened it


def test_a_click_pins_the_card(show: Show) -> None:
    page = show(talks())
    page.click("[data-i='1']")
    page.hover("[data-i='3']")
    assert page.inner_text("#card .piece") == "What"
    keys(page, "Escape")
    assert not page.is_visible("#card")


def test_the_address_names_the_row(show: Show) -> None:
    rows = [replace(view, row=1000 * view.row) for view in talks()]
    page = show(rows, fragment="#row=2000")
    assert opened(page) == "Row 2,000"
    assert page.get_attribute("#item-2", "aria-selected") == "true"
    page.click("#item-1")
    assert page.url.endswith("#row=1000")
    page.go_back()
    assert opened(page) == "Row 2,000"
    assert opened(show(rows, fragment="#row=77")) == "Row 0"


def test_a_screen_reader_is_told_all(show: Show) -> None:
    page = show(talks())
    options = page.get_by_role("listbox", name="Rows").get_by_role("option")
    assert options.count() == 4
    assert page.locator("#list").get_by_role("option", selected=True).get_attribute("aria-posinset") == "1"
    assert page.get_attribute("#list", "aria-activedescendant") == "item-0"
    assert page.get_by_role("button", name="Masked", pressed=True).count() == 1
    assert page.get_by_role("searchbox", name="Search the rows' text").count() == 1
    assert page.get_by_role("article", name="Row 0").count() == 1
    assert page.get_by_role("heading", name="assistant 1").count() == 1
    runs = page.eval_on_selector_all("#row .run .unseen", "all => all.map(one => one.textContent)")
    assert runs == ["masked: ", "masked: ", "trained: "]


def test_a_narrow_screen_has_one_pane_at_a_time(show: Show) -> None:
    page = show(talks(), viewport={"width": 390, "height": 800})
    assert page.is_visible("#list")
    assert not page.is_visible("#reader")
    page.fill("#search", "2+2")  # typing does not lead out of the list
    assert page.is_visible("#list")
    page.click("#item-1")
    assert not page.is_visible("#list")
    assert opened(page) == "Row 1"
    page.click("#back")
    page.fill("#search", "")
    page.click("#item-1")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click("#back")
    assert page.is_visible("#list")
    page.click("#item-2")
    page.go_back()
    page.wait_for_selector("#list", state="visible")

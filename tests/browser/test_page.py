"""What a person sees and does on the page of rows, in a real Chromium.

Wherever a row is looked at, what the page says is compared with the RowView it was made from.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from made_rows import chats, row, talks, with_losses
from on_page import keys, listed, open_row, opened, shown

from sftcli.view.cells import one_line
from sftcli.view.heading import MEANING
from sftcli.view.row import RowView, Source, TokenView

pytest_plugins = ["chromium"]

Show = Callable[..., Any]
FACTS = {"source": "talk.jsonl", "template": "chatml", "tokenizer": "demo"}

# The facts of each token as its card shows them: [[name, value], ...] in the order of the page.
CARDS = """() => [...document.querySelectorAll('#row .t')].map((token) => {
  token.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  return [...document.querySelectorAll('#card dl div')]
    .map((line) => [...line.children].map((one) => one.textContent));
})"""
# The runs of the row: [kind, text], as it reads.
RUNS = """() => [...document.querySelectorAll('#row .body .run')].map((run) => [run.classList[1],
  [...run.querySelectorAll('.t')].map((token) => token.textContent).join('')])"""


# What an element says, part by part.
PARTS = (
    """all => all.map(one => [...one.querySelectorAll('h3, bdi, dt, dd')].map(part => part.textContent))"""
)


def test_the_head_says_what_the_page_is(show: Show) -> None:
    page = show(talks(), "talk.jsonl", FACTS)
    assert page.title() == "talk.jsonl"
    assert page.inner_text("h1") == "talk.jsonl"
    assert page.inner_text("#totals") == "4 rows · 35 tokens · 12 trained (34.3%)"
    assert page.eval_on_selector_all(".facts div", "all => all.map(one => one.innerText.split('\\n'))") == [
        list(fact) for fact in FACTS.items()
    ]


def test_rows_are_listed_with_their_counts(show: Show) -> None:
    page = show(talks())
    items = page.eval_on_selector_all("#list .item", "all => all.map(one => one.innerText.split(/\\n+/))")
    assert items == [
        ["0", "10 tokens · 40.0% trained", "What is up? · Not much."],
        ["1", "6 tokens · 33.3% trained", "2+2= · 4"],
        ["2", "16 tokens · 37.5% trained", "straddle Be brief. · Capital of France? · Paris, what else?"],
        ["3", "3 tokens · 0.0% trained", "dropped zero-trained straddle Is!"],
    ]
    strip = page.eval_on_selector("#list .item .strip", "one => one.style.background")
    assert strip.replace("0.00%", "0%").count("60%") == 2  # masked up to there, trained from there on


SNIPPETS = "all => all.map(one => one.textContent)"


def unknown(view: RowView) -> RowView:
    """As from a folder of shards, which holds no origins, turns or roles."""
    tokens = (replace(token, origin=None, turn=None, role=None) for token in view.tokens)
    return replace(view, tokens=tuple(tokens))


def test_a_preview_begins_where_rows_begin_to_differ(show: Show) -> None:
    prompt = ("user", "<|start|>", "Below is an instruction", ".\n\n### ", "Instruction", ":\n")
    asked = ("Write", " a", " poem", "."), ("Write", " a", " list", "."), ("Stop", ".")
    rows = [row(i, (*prompt, *words, "<|end|>"), ("assistant", "", "Yes")) for i, words in enumerate(asked)]
    rows += [replace(rows[0], row=3), row(4, ("user", "", "Below is another", ".\n", "Go"))]
    page = show([unknown(view) for view in rows])
    assert page.eval_on_selector_all("#list .snippet", SNIPPETS) == [
        "… Write a poem. · Yes",  # the words that two rows share by chance stay
        "… Write a list. · Yes",
        "… Stop. · Yes",
        "… Write a poem. · Yes",  # a row that is there twice keeps what is its own
        "Below is another. Go",
    ]


def test_a_fixed_system_text_is_left_out_of_previews(show: Show) -> None:
    system = ("system", "<|start|>", "You are a careful", " helper", ".", "<|end|>")
    page = show([row(i, system, ("user", "", text)) for i, text in enumerate(("Hi", "Bye"))])
    assert page.eval_on_selector_all("#list .snippet", SNIPPETS) == ["… Hi", "… Bye"]
    page = show([row(i, ("user", "", text)) for i, text in enumerate(("You are. Good", "You are. Bad"))])
    assert page.eval_on_selector_all("#list .snippet", SNIPPETS) == ["You are. Good", "You are. Bad"]


def test_a_preview_keeps_apart_what_the_row_does(show: Show) -> None:
    view = row(0, ("user", "### Instruction:", "Shorten", " this", "\n\n### Input:\n", "The idea", " of"))
    tokens = (replace(t, origin="template") if t.i == 3 else t for t in view.tokens)
    page = show([replace(view, tokens=tuple(tokens))])
    assert page.inner_text("#list .snippet") == "Shorten this · The idea of"
    page = show([unknown(talks()[0])])
    assert page.inner_text("#list .snippet") == "What is up? · Not much."


def test_the_open_row_says_where_it_is_from_and_what_is_to_be_known(show: Show) -> None:
    page = show(talks())
    assert opened(page) == "Row 0"
    assert page.inner_text(".place").split("\n") == ["talk.jsonl:1", "id first"]
    counts = page.eval_on_selector_all(".counts span", "all => all.map(one => one.textContent)")
    assert counts == ["10 tokens", "4 trained", "40.0%", "6 masked", "2 turns"]
    page.click("#item-3")
    assert opened(page) == "Row 3"
    assert page.eval_on_selector_all(".warning", "all => all.map(one => one.textContent)") == [
        "prepare leaves this row out: no_trained_tokens",
        f"zero-trained: {MEANING['zero-trained']}",
        f"straddle: {MEANING['straddle']}",
    ]


def test_a_row_reads_turn_by_turn_with_its_runs(show: Show) -> None:
    page = show(talks(), fragment="#row=2")
    speakers = page.eval_on_selector_all(".speaker", "all => all.map(one => one.textContent)")
    assert speakers == ["system 0", "user 1", "assistant 2"]
    assert page.evaluate(RUNS) == [
        ["masked", "<|start|>Be brief.\n"],
        ["masked", "<|start|>Capital of France?"],
        ["masked", "A:"],
        ["trained", "Paris, what else?<|end|>"],
    ]


@pytest.mark.parametrize(
    "views", [talks, lambda: [with_losses(view) for view in chats()]], ids=["made", "chats"]
)
def test_the_facts_of_every_token_are_those_of_the_row(
    show: Show, views: Callable[[], list[RowView]]
) -> None:
    rows = views()
    page = show(rows)
    for number, view in enumerate(rows):
        open_row(page, number)
        heads = [token for token in view.tokens if token.group]
        for token, said in zip(heads, page.evaluate(CARDS), strict=True):
            common = [["origin", token.origin], ["turn", str(token.turn)], ["role", token.role]]
            common += [["kind", "control token"]] if token.control else []
            if token.turn is None:
                common = [fact for fact in common if fact[0] not in ("turn", "role")]
            if token.group > 1:
                assert said == common
                continue
            label = f"{token.label} ({'trained' if token.trained else 'masked'})"
            assert said[: 3 + len(common)] == [
                ["i", str(token.i)],
                ["id", str(token.id)],
                ["label", label],
                *common,
            ]
            loss = "" if token.loss is None else f"{token.loss:.3f} (probability "
            assert said[3 + len(common) :] == [] if not loss else said[-1][1].startswith(loss)


def test_a_character_over_several_tokens_is_shown_once_with_each_of_them(show: Show) -> None:
    tokens = (
        TokenView(0, 10, "a", -100, False, False),
        TokenView(1, 11, " 😀", -100, False, False, group=3),
        TokenView(2, 12, "", -100, False, False, group=0),
        TokenView(3, 13, "", 13, True, False, group=0),
        TokenView(4, 14, "!", 14, True, False),
    )
    page = show([RowView(0, None, tokens)])
    assert page.evaluate(RUNS) == [["masked", "a"], ["trained", " 😀!"]]
    page.hover("#row .t >> nth=1")
    table = page.eval_on_selector_all("#card tr", "all => all.map(one => one.innerText.split('\\t'))")
    assert table == [
        ["i", "id", "label"],
        ["1", "11", "-100 (masked)"],
        ["2", "12", "-100 (masked)"],
        ["3", "13", "13 (trained)"],
    ]
    assert page.inner_text("#card .next") == "next ! trained"


def test_a_label_that_is_not_the_usual_one_is_said(show: Show) -> None:
    tokens = (TokenView(0, 5, "a", 6, True, False), TokenView(1, 6, "b", 6, True, False))
    page = show([RowView(0, None, tokens)])
    assert page.evaluate(CARDS)[0][2] == ["label", "6 (trained, but not the usual label)"]
    assert page.eval_on_selector_all("#row .odd", "all => all.map(one => one.textContent)") == ["a"]


def test_padding_is_folded_and_counted_apart(show: Show) -> None:
    padding = tuple(TokenView(i, 9, "<|pad|>", -100, False, True, padding=True) for i in range(2, 40))
    tokens = (TokenView(0, 5, "a", -100, False, False), TokenView(1, 6, "b", 6, True, False), *padding)
    page = show([RowView(0, None, tokens)])
    counts = page.eval_on_selector_all(".counts span", "all => all.map(one => one.textContent)")
    assert counts == ["2 tokens", "1 trained", "50.0%", "1 masked", "38 padding"]
    assert "<|pad|>" not in shown(page)
    page.click(".run.padding")
    assert shown(page).count("<|pad|>") == 38
    page.locator(".run.padding").focus()
    keys(page, "Enter")
    assert "<|pad|>" not in shown(page)


def test_packed_rows_are_told_apart(show: Show) -> None:
    first, second = talks()[:2]
    tokens = tuple(replace(token, i=i) for i, token in enumerate(first.tokens + second.tokens))
    page = show([RowView(0, None, tokens, documents=(10, 6))])
    assert page.eval_on_selector_all(".document", PARTS) == [
        ["document 1 of 2", "10 tokens"],
        ["document 2 of 2", "6 tokens"],
    ]
    keys(page, "t")
    contexts = page.eval_on_selector_all(".targets .context", "all => all.map(one => one.textContent)")
    assert contexts[-2:] == ["<|start|>2+2=<|start|>", "<|start|>2+2=<|start|>4"]


def test_what_goes_along_with_a_row_and_its_documents_is_shown(show: Show) -> None:
    first, second = talks()[:2]
    tokens = tuple(replace(token, i=i) for i, token in enumerate(first.tokens + second.tokens))
    packed = RowView(
        0,
        Source("in.jsonl", None),
        tokens,
        documents=(10, 6),
        sources=(Source("in.jsonl", 7), Source("<b>.jsonl", None)),
        fields=(("length", 16), ("topic", ("maths", "a\u202eb")), ("hard", (True, False))),
        split="validation",
        place=1234,
    )
    page = show([packed, replace(first, row=1, fields=(("topic", "talk"), ("score", 0.5)))])
    assert page.inner_text(".place").split("\n") == ["in.jsonl", "validation 1,234"]
    assert page.eval_on_selector_all(".row-head .fields div", PARTS) == [["length", "16"]]
    assert page.eval_on_selector_all(".document", PARTS) == [
        ["document 1 of 2", "10 tokens", "in.jsonl:7", "topic", "maths", "hard", "true"],
        ["document 2 of 2", "6 tokens", "<b>.jsonl", "topic", "a\\u202eb", "hard", "false"],
    ]
    assert page.inner_text("#list .item-counts") == "16 tokens \u00b7 37.5% trained \u00b7 2 documents"
    open_row(page, 1)
    assert page.eval_on_selector_all(".row-head .fields div", PARTS) == [["topic", "talk"], ["score", "0.5"]]
    assert page.locator(".document").count() == 0


def test_a_strip_shows_padding_and_where_documents_end(show: Show) -> None:
    view = talks()[0]
    tokens = tuple(replace(token, padding=token.i < 2) for token in view.tokens)
    page = show([replace(view, tokens=tokens, documents=(3, 5))])
    strip = "document.querySelector('#row .strip').style.background.replaceAll('.00%', '%')"
    lines, padding, mask = page.evaluate(strip).split("), linear-gradient(to right, ")
    edges = "calc(50% - 1px)", "calc(50% + 1px)"
    assert lines == (
        f"linear-gradient(to right, transparent {edges[0]}, var(--strip-gap) {edges[0]}, "
        f"var(--strip-gap) {edges[1]}, transparent {edges[1]}"
    )
    assert padding == (
        "transparent 0%, transparent 0%, var(--strip-padding) 0%, var(--strip-padding) 20%, "
        "transparent 20%, transparent 100%"
    )
    assert mask == (
        "var(--strip-masked) 0%, var(--strip-masked) 60%, var(--strip-trained) 60%, "
        "var(--strip-trained) 100%)"
    )


def test_padding_has_a_line_of_its_own(show: Show) -> None:
    view = unknown(talks()[0])
    pad = TokenView(0, 9, "<|pad|>", -100, False, True, padding=True)
    kinds = "all => all.map(one => [...one.querySelectorAll('.run')].map(run => run.classList[1]))"
    for tokens, turns in (
        ((pad, pad, *view.tokens), [["padding"], ["masked", "trained"]]),
        ((*view.tokens, pad), [["masked", "trained"], ["padding"]]),
    ):
        page = show([replace(view, tokens=tuple(replace(token, i=i) for i, token in enumerate(tokens)))])
        assert page.eval_on_selector_all("#row .turn", kinds) == turns


def test_weights_stand_where_they_begin(show: Show) -> None:
    view = talks()[0]
    weights = [0, 0, 0, 0, 0, 0, 0.1, 0.1, 1, 2]
    tokens = tuple(replace(t, weight=w) for t, w in zip(view.tokens, weights, strict=True))
    page = show([replace(view, tokens=tokens)])
    counts = page.eval_on_selector_all(".counts span", "all => all.map(one => one.textContent)")
    assert counts[-1] == "weights 0.1, 1, 2"
    runs = page.eval_on_selector_all(
        ".body .run.trained", "all => all.map(one => [one.dataset.weight, one.classList.contains('light')])"
    )
    assert runs == [["\u00d70.1", True], [None, False], ["\u00d72", False]]
    cards = [dict(map(tuple, facts)) for facts in page.evaluate(CARDS)]
    assert [card["weight"] for card in cards] == [*["0"] * 6, "0.1", "0.1", "1", "2"]
    keys(page, "t")
    cells = page.eval_on_selector_all(".targets tr", "all => all.map(one => one.cells[4].textContent)")
    assert cells == ["weight", "0.1", "0.1", "1", "2"]


def test_labels_apart_are_predicted_from_what_is_read(show: Show) -> None:
    view = talks()[0]
    page = show([replace(unknown(view), answer=6)])
    assert page.eval_on_selector_all(".document", PARTS) == [
        ["input_ids", "6 tokens"],
        ["labels", "4 tokens"],
    ]
    keys(page, "t")
    table = page.eval_on_selector_all(
        ".targets tr", "all => all.map(one => [...one.cells].map(cell => cell.textContent))"
    )
    before = "<|start|>What is up?<|start|>"
    assert table == [
        ["label", "context", "next label", "id"],
        ["0", before, "Not", "106"],
        ["1", before + "Not", " much", "107"],
        ["2", before + "Not much", ".", "108"],
        ["3", before + "Not much.", "<|end|>", "109"],
    ]


def test_the_context_of_a_target_is_without_padding(show: Show) -> None:
    view = talks()[0]
    tokens = tuple(replace(token, padding=token.i < 3) for token in view.tokens)
    page = show([replace(view, tokens=tokens)])
    keys(page, "t")
    contexts = page.eval_on_selector_all(".targets .context", "all => all.map(one => one.textContent)")
    assert contexts[:2] == [" up?<|start|>", " up?<|start|>Not"]


def test_toggles_hide_and_show(show: Show) -> None:
    page = show(talks())
    assert "What is up?" in shown(page)
    page.click("#masked")
    assert "What" not in shown(page)
    assert "Not much." in shown(page)
    assert page.get_attribute("#masked", "aria-pressed") == "false"
    keys(page, "m", "c")
    assert "<|start|>" not in shown(page)
    assert "What is up?" in shown(page)
    keys(page, "c")
    assert shown(page).count("<|start|>") == 2
    border = "getComputedStyle(document.querySelectorAll('#row .t')[1]).boxShadow"
    assert page.evaluate(border) == "none"
    keys(page, "b")
    assert page.evaluate(border) != "none"


def test_targets_are_what_the_loss_sees(show: Show) -> None:
    page = show([with_losses(view) for view in talks()])
    page.click("#targets")
    table = page.eval_on_selector_all(
        ".targets tr", "all => all.map(one => [...one.cells].map(cell => cell.textContent))"
    )
    before = "<|start|>What is up?<|start|>"
    assert table == [
        ["position", "context", "next token", "id", "loss"],
        ["6", before, "Not", "106", "1.500"],
        ["7", before + "Not", " much", "107", "1.750"],
        ["8", before + "Not much", ".", "108", "2.000"],
        ["9", before + "Not much.", "<|end|>", "109", "2.250"],
    ]
    open_row(page, 3)
    assert page.inner_text(".targets") == "Nothing in this row is trained: the loss sees none of it."
    keys(page, "t")
    assert shown(page).startswith("user")


def test_losses_are_colours_and_a_mean(show: Show) -> None:
    page = show([with_losses(view) for view in talks()])
    assert page.inner_text(".counts").endswith("mean loss 1.875")
    assert page.get_attribute("#heat", "aria-pressed") == "true"  # who asked for losses wants to see them
    heat = page.eval_on_selector_all("#row .t", "all => all.map(one => /heat(\\d)/.exec(one.className)?.[1])")
    # The bounds are 0.1, 0.7, 1.6, 3.0 and 4.6 nats, as in the terminal.
    assert heat == [None, "1", "1", "2", "2", "2", "2", "3", "3", "3"]
    ground = "getComputedStyle(document.querySelectorAll('#row .t')[9]).backgroundColor"
    hot = page.evaluate(ground)
    assert page.is_visible("#scale")
    keys(page, "h")
    assert page.evaluate(ground) != hot
    assert not page.is_visible("#scale")
    counts = page.eval_on_selector_all("#list .item-counts", "all => all.map(one => one.textContent)")
    assert counts[0] == "10 tokens · 40.0% trained · loss 1.88"
    assert counts[3] == "3 tokens · 0.0% trained"  # a mean over nothing is none
    page.select_option("#order", "highest mean loss first")
    assert listed(page) == ["2", "0", "1", "3"]
    page.select_option("#order", "lowest mean loss first")
    assert listed(page) == ["1", "0", "2", "3"]


def test_without_losses_nothing_speaks_of_them(show: Show) -> None:
    page = show(talks())
    keys(page, "h")
    assert not page.is_visible("#heat")
    assert not page.is_visible("#scale")
    assert "loss" not in page.inner_text("#order")


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const pixel = (colors) => {
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const least = {};
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    if (!node.getClientRects().length || node.closest('.unseen')) continue;
    const grounds = [];
    for (let up = node; up; up = up.parentElement) grounds.unshift(getComputedStyle(up).backgroundColor);
    const ground = pixel(['#fff', ...grounds]);
    const ink = pixel([`rgb(${ground})`, getComputedStyle(node).color]);
    const [a, b] = [light(ground), light(ink)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = node.tagName + '.' + node.className;
    least[name] = Math.min(least[name] ?? 99, ratio);
  }
  return least;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("heat", [False, True], ids=["plain", "heat"])
def test_all_text_can_be_read(show: Show, scheme: str, heat: bool) -> None:
    rows = [with_losses(view) for view in talks()] if heat else talks()
    page = show(rows, facts=FACTS, color_scheme=scheme, fragment="#row=2")
    keys(page, "f")
    assert page.is_visible("#scale") == heat
    too_faint = {name: ratio for name, ratio in page.evaluate(CONTRASTS).items() if ratio < 4.5}
    assert too_faint == {}


def test_trained_and_masked_differ_without_colour(show: Show) -> None:
    page = show(talks())
    line = "one => getComputedStyle(one).textDecorationLine"
    assert page.eval_on_selector("#row .body .run.trained", line) == "underline"
    assert page.eval_on_selector("#row .body .run.masked", line) == "none"


def test_light_and_dark(show: Show) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = show(talks()), show(talks(), color_scheme="dark")
    assert (light.evaluate(ground), dark.evaluate(ground)) == ("rgb(253, 252, 250)", "rgb(22, 23, 26)")
    keys(light, "d")
    dark.click("#theme")
    assert (dark.evaluate(ground), light.evaluate(ground)) == ("rgb(253, 252, 250)", "rgb(22, 23, 26)")


def test_print_has_the_row_and_no_tools(show: Show) -> None:
    page = show(talks(), facts=FACTS, color_scheme="dark")
    page.emulate_media(media="print")
    for tool in (".rows", ".toolbar", ".buttons"):
        assert not page.is_visible(tool)
    assert page.is_visible(".facts")
    assert "Not much." in shown(page)
    trained = "getComputedStyle(document.querySelector('#row .body .run.trained')).color"
    assert page.evaluate(trained) == "rgb(0, 0, 0)"
    assert page.pdf()[:5] == b"%PDF-"


def test_all_listed_rows_can_be_printed(show: Show) -> None:
    page = show(talks())
    page.fill("#search", "start")
    page.select_option("#order", "longest first")
    page.evaluate(
        "addEventListener('beforeprint', () => { globalThis.printed = "
        "[...document.querySelectorAll('.all-rows article')].map(one => one.innerText.split('\\n')[0]) })"
    )
    page.click("#help")
    page.click("text=Print the listed 4 rows")
    assert page.evaluate("globalThis.printed") == ["Row 2", "Row 0", "Row 1", "Row 3"]
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".all-rows").count() == 0


def test_a_page_without_rows_and_a_row_without_tokens(show: Show) -> None:
    page = show([])
    assert page.inner_text("#totals") == "0 rows · 0 tokens · 0 trained"
    assert page.inner_text("#row") == "There are no rows on this page."
    keys(page, "j", "k", "t", "m", "n")
    page = show([RowView(7, None, ())])
    assert shown(page) == "This row has no tokens."
    keys(page, "t", "Enter")
    assert one_line(opened(page)) == "Row 7"


def test_right_to_left_text_runs_its_own_way(show: Show) -> None:
    page = show([row(0, ("user", "", "שלום", " עולם"), ("assistant", "", "Hello", "."))])
    left = "[...document.querySelectorAll('#row .t')].map(one => one.getBoundingClientRect().left)"
    shalom, olam, hello, dot = (page.evaluate(left)[i] for i in (1, 2, 4, 5))
    assert shalom > olam
    assert hello < dot

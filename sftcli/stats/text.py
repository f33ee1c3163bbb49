"""Figures -> the page that a terminal shows."""

from collections.abc import Iterable, Mapping, Sequence

from sftcli.stats.figures import Figures, Limit, Spread
from sftcli.stats.histogram import histogram, styled
from sftcli.stats.measure import Layout, Reason
from sftcli.view.cells import one_line, width_of
from sftcli.view.fold import folded
from sftcli.view.page import Screen

_NAME = 11


def show_stats(found: Figures, screen: Screen, notes: Mapping[str, str]) -> str:
    """The whole page. `notes` says what each of the data's notes means."""
    sections = [_head(found, screen, notes)]
    if found.rows:
        sections += [
            _spreads(found, screen),
            _lengths(found, screen),
            _limits(found, screen),
            _padding(found, screen),
            _packing(found, screen),
            _first_trained(found, screen),
        ]
    return "\n\n".join("\n".join(line.rstrip() for line in lines) for lines in sections)


def heading(text: str, about: str, screen: Screen) -> str:
    return styled(text, "1", screen) + (styled(f"  {about}", "2", screen) if about else "")


def aligned(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Columns two spaces apart: the first `left` of them start together, the others end together."""
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - width_of(cell))
            cells.append(cell + space if index < left else space + cell)
        lines.append("  " + "  ".join(cells))
    return lines


def percent(share: float | None) -> str:
    """With one digit, and never 0.0% or 100.0% of what is neither."""
    if share is None:
        return "-"
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def token_text(text: str, screen: Screen) -> str:
    """A token's text; white space at its ends, which nobody would see, gets a sign."""
    shown = one_line(text, screen.ascii_only)
    inner = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    after = len(shown) - before - len(inner)
    space = screen.marks.space
    return space * before + inner + space * after


def _head(found: Figures, screen: Screen, notes: Mapping[str, str]) -> list[str]:
    safe = one_line(found.source, screen.ascii_only)
    title = f"{safe}: {count(found.rows, 'row')}, {count(found.tokens, 'token')}"
    trained = f"{found.trained_tokens:,} of {count(found.tokens, 'token')}"
    trained += f" ({percent(found.trained_share)})" if found.trained_share is not None else ""
    lines = [styled(title, "1", screen)]
    lines.append(
        _line("records", f"{count(found.records, 'record')} in, {count(found.rows, 'row')} out", screen)
    )
    lines += _reasons("dropped", found.dropped, screen)
    lines += _reasons("rejected", found.rejected, screen)
    if found.blank_lines:
        lines.append(_line("blank", count(found.blank_lines, "line"), screen))
    lines.append(_line("trained", trained, screen))
    lines += _turns(found, screen)
    if found.documents is not None and found.document_lengths is not None:
        mean = f"{found.document_lengths.mean:,.1f} tokens each on average"
        lines.append(_line("packed", f"{count(found.documents, 'document')} in these rows, {mean}", screen))
    lines.append(_line("layout", layout_text(found.layout, screen), screen))
    return lines + [_line("note", remark, screen) for remark in _remarks(found, notes)]


def layout_text(layout: Layout, screen: Screen) -> str:
    """How rows are made, in one line; of the mask what is not as usual."""
    facts = [
        f"template {layout.template}",
        f"{layout.record_format} records",
        f"tokenizer {layout.tokenizer}",
    ]
    if layout.max_length is not None:
        facts.append(f"at most {count(layout.max_length, 'token')} a row")
    facts += [f"--train-on {layout.train_on}"] if layout.train_on != "assistant" else []
    facts += [f"--train-on-eos {layout.train_on_eos}"] if layout.train_on_eos != "turn" else []
    return one_line(", ".join(facts), screen.ascii_only)


def _turns(found: Figures, screen: Screen) -> list[str]:
    if found.turns is None:
        return [_line("turns", f"not known: {found.unknown['turns']}", screen)]
    spread = found.turns.spread
    dash = "-" if screen.ascii_only else "–"
    shown = f"{spread.max:,} a conversation"
    if spread.min < spread.max:
        shown = f"{spread.min:,}{dash}{shown}, {spread.mean:,.1f} on average, half up to {spread.p50:,}"
    roles = ", ".join(f"{number:,} {role}" for role, number in found.turns.roles.items())
    return [
        _line("turns", shown, screen),
        _line("roles", roles, screen),
    ]


def _remarks(found: Figures, notes: Mapping[str, str]) -> Iterable[str]:
    """What is to be known of the data, each with its count."""
    masked, trained = found.straddling_tokens["masked"], found.straddling_tokens["trained"]
    dropped = sum(reason.rows for reason in found.dropped.values())
    # These two are counted before rows are dropped, in a manifest as well.
    of_all = f" (of {(found.documents or found.rows) + dropped:,} laid out)" if dropped else ""
    if found.control_text_rows:
        rows = count(found.control_text_rows, "row") + of_all
        yield f"{rows} with control-token text in the data; it stays plain text"
    if masked:
        yield f"{count(masked, 'token')} across a mask boundary, masked"
    if trained:
        yield f"{count(trained, 'token')} across a mask boundary by white space alone, trained"
    if found.empty_thinking_rows:
        yield f"{count(found.empty_thinking_rows, 'row')} with an empty <think></think> in an answer"
    for name, number in found.notes.items():
        yield f"{count(number, 'row')}{of_all}: {one_line(notes.get(name, name))}"


def _reasons(name: str, reasons: Mapping[str, Reason], screen: Screen) -> list[str]:
    lines = []
    for reason, found in reasons.items():
        first = f" (first: {found.first})" if found.first else ""
        lines.append(_line(name, one_line(f"{found.rows:,} {reason}{first}", screen.ascii_only), screen))
    return lines


def _line(name: str, text: str, screen: Screen) -> str:
    """A name and what it is, folded between words where it is longer than the screen is wide."""
    indent = 2 + _NAME + 1
    first, *rest = folded(text, screen.width - indent)
    return f"\n{'':{indent}}".join([f"  {styled(f'{name:<{_NAME}}', '2', screen)} {first}", *rest])


def spread_cells(spread: Spread | None) -> list[str]:
    if spread is None:
        return []
    percentiles = (spread.p50, spread.p90, spread.p95, spread.p99, spread.max)
    return [f"{spread.min:,}", f"{spread.mean:,.1f}", *(f"{value:,}" for value in percentiles)]


def _spreads(found: Figures, screen: Screen) -> list[str]:
    rows = [["", "min", "mean", "50%", "90%", "95%", "99%", "max"]]
    rows.append(["tokens", *spread_cells(found.lengths)])
    rows.append(["trained tokens", *spread_cells(found.trained_lengths)])
    rows.append(["trained, in %", *spread_cells(found.trained_percent)])
    about = "50%: half of the rows have at most so many"
    return [heading("Per row", about, screen), *aligned(rows, left=1)]


def _lengths(found: Figures, screen: Screen) -> list[str]:
    about = "tokens, and how many rows have so many; with the percentiles"
    return [
        heading("Lengths", about, screen),
        *histogram(found.length_histogram, found.lengths, screen),
    ]


def shown_limits(limits: Sequence[Limit]) -> Sequence[Limit]:
    """Up to the first that no row exceeds: those after it say the same."""
    over = sum(limit.rows > 0 for limit in limits)
    return limits[: over + 1]


def _limits(found: Figures, screen: Screen) -> list[str]:
    rows = [["limit", "rows over", "", "lost if dropped", "", "lost if cut*", ""]]
    for limit in shown_limits(found.limits):
        dropped, cut = (part / found.tokens for part in (limit.tokens_dropped, limit.tokens_cut))
        rows.append([f"{limit.limit:,}", f"{limit.rows:,}", percent(limit.share)])
        rows[-1] += [f"{limit.tokens_dropped:,}", percent(dropped), f"{limit.tokens_cut:,}", percent(cut)]
    about = "what a maximum length costs in tokens, if longer rows are dropped or cut"
    note = styled("  * to compare with: prepare drops longer rows, and cuts none", "2", screen)
    return [heading("Limits", about, screen), *aligned(rows), note]


def _padding(found: Figures, screen: Screen) -> list[str]:
    rows = [["rows in a batch", "in random order (expected)", "sorted by length"]]
    for padding in found.padding:
        rows.append([str(padding.batch), percent(padding.random), percent(padding.sorted)])
    about = "waste: how much of a batch is padding up to its longest row"
    return [heading("Padding", about, screen), *aligned(rows)]


def _packing(found: Figures, screen: Screen) -> list[str]:
    packing = found.packing
    if packing is None:
        return []
    about = f"rows put together, none split, in sequences of {packing.length:,} tokens"
    fill = f"fill {percent(packing.fill)} (the rest is padding)" if packing.bins else "none fits"
    left = f"; {count(packing.rows_too_long, 'row')} too long" if packing.rows_too_long else ""
    return [
        heading("Packing", about, screen),
        f"  {count(found.rows, 'row')} in {count(packing.bins, 'sequence')}, {fill}{left}",
    ]


def _first_trained(found: Figures, screen: Screen) -> list[str]:
    rows = [["id", "token", "rows", ""]]
    for token in found.first_trained:
        text = token_text(token.text, screen)
        rows.append([str(token.id), text, f"{token.rows:,}", percent(token.share)])
    about = "what the trained text of a row begins with"
    return [heading("First trained tokens", about, screen), *aligned(rows, left=2)]

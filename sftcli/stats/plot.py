"""A picture of one source, or of two: the lengths of the rows, and how much of each is trained."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcli.errors import EnvironmentFault, UsageError
from sftcli.stats.compare import NAMES
from sftcli.stats.distribution import Distribution
from sftcli.stats.figures import Figures
from sftcli.stats.measure import Measured
from sftcli.view.cells import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = {".png": "png", ".svg": "svg", ".html": "svg"}
_BINS = 64
_COLOURS = ("#0072b2", "#d55e00")  # told apart by every eye; in grey, one is filled and one is a line
_LINE, _LIMIT = "#333333", "#999999"
_MOST_NAME = 90
_NAMED_UP_TO = 0.86  # of the width: beyond it the name of a line has no room
# Fixed, so that equal figures give equal files on every machine with one version of matplotlib.
_STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "sftcli",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 60rem; margin: 1rem auto; padding: 0 1rem; background: #fff; color: #111; }}
svg {{ width: 100%; height: auto; }}
pre {{ overflow-x: auto; font: 13px/1.25 ui-monospace, monospace; }}
</style>
</head>
<body>
{svg}
<pre>{page}</pre>
</body>
</html>
"""


def check_plot(path: str) -> None:
    """Raise UsageError where no picture could be saved: to be asked before a long run."""
    if Path(path).suffix.lower() not in _FORMATS:
        raise UsageError(
            f"--plot {path}: the name ends in none of {', '.join(_FORMATS)}, which say what to draw"
        )
    if not Path(path).absolute().parent.is_dir():
        raise UsageError(
            f"--plot {path}: the folder {Path(path).parent} does not exist; make it, or name another"
        )
    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'sftcli[plot]'")


def save_plot(measured: Sequence[Measured], found: Sequence[Figures], path: str, page: str) -> None:
    """Draw one source or two into a .png, .svg or .html file; `page` is the text below it in HTML.

    Raises EnvironmentFault where the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    raw = _drawn(measured, found, _FORMATS[suffix])
    if suffix == ".html":
        title = html.escape(" - ".join(one_line(one.source) for one in found))
        svg = raw[raw.index(b"<svg") :].decode()
        raw = _PAGE.format(title=title, svg=svg, page=html.escape(page)).encode()
    try:
        Path(path).write_bytes(raw)
    except OSError as problem:
        raise EnvironmentFault(f"{path}: cannot be written: {problem.strerror or problem}") from None


def _drawn(measured: Sequence[Measured], found: Sequence[Figures], format_: str) -> bytes:
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(8, 6.4), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(3, 2))
        _headline(figure, found)
        lengths = [Distribution.of(one.rows.lengths) for one in measured]
        shares = [Distribution.of(one.rows.shares) for one in measured]
        draw_lengths(above, lengths, found)
        _draw_shares(below, shares)
        out = io.BytesIO()
        # No date and no version: they would differ where nothing else does.
        unstamped: dict[str, Any] = (
            {"Software": None} if format_ == "png" else {"Date": None, "Creator": None}
        )
        figure.savefig(out, format=format_, dpi=150, metadata=unstamped)
    raw = out.getvalue()
    return raw if format_ == "png" else re.sub(rb"<!--.*?-->\n?|[ \t]+(?=\n)", b"", raw)


def _headline(figure: "Figure", found: Sequence[Figures]) -> None:
    lines = []
    for name, one in zip(NAMES, found, strict=False):
        source = one_line(one.source, ascii_only=True)
        source = source if len(source) <= _MOST_NAME else "..." + source[-_MOST_NAME:]
        trained = f", {one.trained_share:.1%} trained" if one.trained_share is not None else ""
        start = f"{name}  " * (len(found) > 1)
        lines.append(f"{start}{source}: {one.rows:,} rows, {one.tokens:,} tokens{trained}")
    # A name is data: a dollar sign in it begins no formula.
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10, parse_math=False)


def draw_lengths(axes: "Axes", lengths: Sequence[Distribution], found: Sequence[Figures]) -> None:
    """Draw the lengths of one source or two, with limits and percentiles."""
    axes.set_title("Lengths")
    together = sum(lengths[1:], lengths[0])
    starts = together.bin_starts(_BINS)
    if not starts:
        _no_rows(axes)
        return
    width = starts[1] - starts[0] if len(starts) > 1 else 1
    edges = [*starts, starts[-1] + width]
    _bars(axes, edges, [one.in_bins(starts) for one in lengths])
    axes.set_xlim(edges[0] if 2 * edges[0] > edges[-1] else 0, edges[-1])
    longest = int(together.values[-1])
    beyond = f"; the last bar has all up to {longest:,}" if longest >= edges[-1] else ""
    axes.set_xlabel(f"tokens in a row{beyond}")
    for limit in (one.limit for one in found[0].limits):
        if edges[0] < limit < edges[-1]:
            axes.axvline(limit, color=_LIMIT, linestyle=(0, (4, 3)), linewidth=0.8)
            axes.annotate(
                f"{limit:,}", (limit, 1.0), xycoords=("data", "axes fraction"), color="#666666", ha="center",
                xytext=(0, 2), textcoords="offset points", fontsize=8,
            )  # fmt: skip
    _percentiles(axes, found)


def _percentiles(axes: "Axes", found: Sequence[Figures]) -> None:
    """Lines at the percentiles, from left to right, each with its name at its upper end.

    A line ends lower than those before it, so that none crosses a name, which stands to the right.
    """
    start, end = axes.get_xlim()
    marks = sorted(mark for index, one in enumerate(found) for mark in _marks(index, one, len(found)))
    shown = [mark for mark in marks if mark[0] < end]
    if shown:
        axes.set_xlim(start, max(end, start + (shown[-1][0] - start) / _NAMED_UP_TO))
    for step, (value, index, name) in enumerate(shown):
        height = 0.95 - 0.075 * step
        colour = _LINE if len(found) == 1 else _COLOURS[index]
        axes.axvline(value, ymax=height + 0.025, color=colour, linewidth=0.9)
        axes.annotate(
            name,
            (value, height),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _marks(index: int, found: Figures, sources: int) -> Iterator[tuple[int, int, str]]:
    """(tokens, index, name) of a source's percentiles."""
    spread = found.lengths
    if spread is None:
        return
    named = {"50%": spread.p50, "90%": spread.p90, "95%": spread.p95, "99%": spread.p99}
    for name, value in named.items():
        if sources == 1:
            yield value, index, f"{name}: {value:,}"
        elif name in ("50%", "95%"):  # more lines would be hard to tell apart
            yield value, index, f"{NAMES[index]} {name}: {value:,}"


def _draw_shares(axes: "Axes", shares: Sequence[Distribution]) -> None:
    axes.set_title("Trained share")
    starts = list(range(0, 100, 5))
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent of a row's tokens that are trained")
    if not any(len(one) for one in shares):
        _no_rows(axes)
        return
    _bars(axes, [*starts, 100], [one.in_bins(starts) for one in shares])
    if len(shares) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)


def _bars(axes: "Axes", edges: Sequence[int], rows: Sequence[Sequence[int]]) -> None:
    """One source as bars of its rows; two as shares of each one's rows, the second as a line."""
    from matplotlib.ticker import StrMethodFormatter

    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if len(rows) == 1:
        axes.stairs(rows[0], edges, fill=True, color=_COLOURS[0], alpha=0.85)
        axes.set_ylabel("rows")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        return
    for index, counts in enumerate(rows):
        total = max(sum(counts), 1)
        values = [100 * count / total for count in counts]
        look: dict[str, Any] = {"alpha": 0.4, "fill": True} if index == 0 else {"linewidth": 1.6}
        axes.stairs(values, edges, color=_COLOURS[index], label=NAMES[index], **look)
    axes.set_ylabel("% of the rows")


def _no_rows(axes: "Axes") -> None:
    axes.text(0.5, 0.5, "no rows", ha="center", va="center", transform=axes.transAxes)

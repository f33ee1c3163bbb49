"""The page that rows and templates are shown on: a gutter with turns and marks, then the text."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from sftcli.view.cells import ASCII, UNICODE, Cell, Kind, Marks, cells, fold, one_line, width_of
from sftcli.view.found import found_below, set_found
from sftcli.view.heat import digit, heat_style

# SGR parameters for (kind, trained). Only the basic colours, so that the terminal's own theme
# decides what is readable; trained and masked differ in weight too, for those who see no green.
_STYLES: dict[tuple[Kind, bool], str] = {
    ("text", True): "1;32",
    ("text", False): "2",
    ("control", True): "1;7;32",
    ("control", False): "35",
    ("escape", True): "1;4;32",
    ("escape", False): "2;4",
    ("mark", True): "32",
    ("mark", False): "2",
}
_WARNING = "1;33"
# Of what was looked for: black on yellow, and underlined where it is trained.
_FOUND = {True: "4;30;43", False: "30;43"}
_LEAST_ROOM = 20
_MOST_COLUMNS = 120  # longer lines of text are hard to read


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text with one mask: one control token, or text that holds none.

    `padding`: how many padding tokens of this text stand in a row. `losses`: for each token that
    begins in the text, where it does and its loss in nats. `found`: the stretches of the text that
    were looked for.
    """

    text: str
    trained: bool
    control: bool = False
    turn: int | None = None
    role: str | None = None
    padding: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    found: tuple[tuple[int, int], ...] = ()

    @property
    def speaker(self) -> tuple[int | None, str | None]:
        return self.turn, self.role


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the page that says what begins below it."""

    text: str


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the page is shown.

    `ascii_only` is for streams that are not UTF-8, `deep` for terminals of 256 colours.
    """

    color: bool
    width: int
    ascii_only: bool = False
    deep: bool = False

    @property
    def marks(self) -> Marks:
        return ASCII if self.ascii_only else UNICODE

    def paint(self, text: str, kind: Kind, trained: bool) -> str:
        return self.styled(text, _STYLES[kind, trained])

    def styled(self, text: str, style: str) -> str:
        """`text` with SGR parameters, where there is colour."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and text else text

    def warn(self, text: str) -> str:
        return self.styled(text, _WARNING)


def page(items: Iterable[Span | Rule], screen: Screen) -> list[str]:
    """Lay spans out as lines.

    A new turn starts a line. With colour the text runs on inside a turn; without, each line is
    all trained (marked T) or all masked, and control tokens stand in brackets. Where spans have
    losses, they are colours; without colour, a digit stands below each token. What was found has a
    ground of its own, and without colour a line below it.
    """
    sections = _sections(items)
    gutter = _Gutter.for_spans([span for _, spans in sections for span in spans], screen)
    marks = screen.marks
    columns = min(screen.width, _MOST_COLUMNS)
    # A line break's sign and the space before it may stand beyond the room.
    room = max(columns - gutter.width - len(marks.newline) - 1, _LEAST_ROOM)
    lines: list[str] = []
    for rule, spans in sections:
        lines += rule_lines(rule.text, columns, screen) if rule else []
        for speaker, turn in groupby(_joined(spans), lambda span: span.speaker):
            label = gutter.labels[speaker]
            for line in _lines(turn, room, screen):
                bar = gutter.line(label, any(cell.trained for cell in line))
                lines.append(bar + painted(without_end(line), screen))
                lines += [] if screen.color else found_below(line, gutter.width)
                lines += _digits(line, gutter.width, screen)
                label = ""
    return lines


def _sections(items: Iterable[Span | Rule]) -> list[tuple[Rule | None, list[Span]]]:
    """Each rule with the spans below it; the first section may have none."""
    sections: list[tuple[Rule | None, list[Span]]] = [(None, [])]
    for item in items:
        if isinstance(item, Rule):
            sections.append((item, []))
        else:
            sections[-1][1].append(item)
    return sections


def _lines(turn: Iterable[Span], room: int, screen: Screen) -> Iterator[list[Cell]]:
    for block in _blocks(turn, screen):
        yield from fold(block, room, screen.marks.newline, screen.marks.tab)


def rule_lines(text: str, columns: int, screen: Screen) -> list[str]:
    """A heading, safe to print, with a line to both sides; what has no room goes on below."""
    rule = screen.marks.rule
    folded = fold(cells(text), max(columns - 4, _LEAST_ROOM), "", "")
    first, *more = ("".join(cell.text for cell in without_end(line)) for line in folded)
    head = f"{rule * 2} {first} "
    lines = [head + rule * (columns - width_of(head)), *(f"   {line}" for line in more)]
    return [screen.paint(line.rstrip(), "mark", False) for line in lines]


@dataclass(frozen=True, slots=True)
class _Gutter:
    """What stands left of the text: who speaks, and whether the line holds what is trained."""

    labels: dict[tuple[int | None, str | None], str]
    screen: Screen

    @classmethod
    def for_spans(cls, spans: list[Span], screen: Screen) -> "_Gutter":
        speakers = dict.fromkeys(span.speaker for span in spans)
        digits = max((len(str(turn)) for turn, _ in speakers if turn is not None), default=0)
        labels = {}
        for turn, role in speakers:
            number = "" if turn is None else str(turn)
            labels[turn, role] = f"{number:>{digits}} {one_line(role or '', screen.ascii_only)}".rstrip()
        return cls(labels, screen)

    @property
    def label_width(self) -> int:
        return max(map(width_of, self.labels.values()), default=0)

    @property
    def width(self) -> int:
        return width_of(_Gutter(self.labels, Screen(False, 0)).line("", False))

    def line(self, label: str, trained: bool) -> str:
        label_part = label + " " * (self.label_width - width_of(label) + 1) if self.label_width else ""
        return label_part + mask_bar(trained, self.screen) + " "


def mask_bar(trained: bool, screen: Screen) -> str:
    """The bar left of a line, marked T where trained; one column in colour and two without."""
    letter = "" if screen.color else "T" if trained else " "
    bar = screen.marks.trained_bar if trained else screen.marks.bar
    return letter + screen.paint(bar, "mark", trained)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Join neighbouring text of one mask, so that what it spells is seen as a whole."""
    for (alone, trained, turn, role), same in groupby(
        spans, lambda span: (span.control or span.padding > 0, span.trained, span.turn, span.role)
    ):
        if alone:
            yield from same
            continue
        parts = list(same)
        starts = list(accumulate((len(span.text) for span in parts[:-1]), initial=0))
        losses = [
            (start + place, loss)
            for start, span in zip(starts, parts, strict=True)
            for place, loss in span.losses
        ]
        found = [
            (start + first, start + stop)
            for start, span in zip(starts, parts, strict=True)
            for first, stop in span.found
        ]
        if text := "".join(span.text for span in parts):
            yield Span(text, trained, False, turn, role, 0, tuple(losses), tuple(found))


def _blocks(turn: Iterable[Span], screen: Screen) -> list[list[Cell]]:
    """The cells of one turn: all in one where colour tells the mask, else a block per mask."""
    blocks: list[list[Cell]] = []
    before: Span | None = None
    for (_, padding), run in groupby(turn, lambda span: (span.trained, bool(span.padding))):
        spans = list(run)
        found = span_cells(spans, screen)
        if before is None or not screen.color or padding or before.padding:
            blocks.append(found)
        else:
            blocks[-1] += found
        before = spans[-1]
    return blocks


def span_cells(run: Iterable[Span], screen: Screen) -> list[Cell]:
    """The cells of spans of one mask. A space at either end would not be seen: it gets a sign."""
    found: list[Cell] = []
    for span in run:
        if not (span.control or span.padding):
            fresh = cells(span.text, span.trained, screen.ascii_only)
            _set_losses(fresh, span.losses, len(span.text))
            set_found(fresh, span.found, len(span.text))
            found.extend(fresh)
            continue
        if found:
            found[-1].may_break = True
        text = one_line(span.text, screen.ascii_only)
        # Heat takes the place of the control token's own colour.
        if not screen.color or span.losses or span.padding:
            text = screen.marks.open + text + screen.marks.close
        cell = Cell(text, width_of(text), span.trained, "control", may_break=True)
        _set_losses([cell], span.losses, 1)
        cell.found = bool(span.found)
        if span.padding:
            cell.text += f" x {span.padding:,} padding"
            cell.width, cell.kind = width_of(cell.text), "mark"
        found.append(cell)
    mark_ends(found, screen)
    return found


def mark_ends(line: list[Cell], screen: Screen) -> None:
    """Give the spaces at either end a sign."""
    sign = screen.marks.space
    for order in (range(len(line)), range(len(line) - 1, -1, -1)):
        for index in order:
            if line[index].text != " ":
                break
            line[index] = replace(line[index], text=sign, width=len(sign), kind="mark")


def _set_losses(found: list[Cell], losses: tuple[tuple[int, float], ...], stop: int) -> None:
    """Give each cell the loss of its token; a token without a cell of its own adds to the one before."""
    if not losses:
        return
    places = [cell.place for cell in found]
    ends = [place for place, _ in losses[1:]] + [stop]
    for (start, loss), end in zip(losses, ends, strict=True):
        first, last = bisect_left(places, start), bisect_left(places, end)
        if first < last:
            found[first].starts = True
            for cell in found[first:last]:
                cell.loss = loss
        elif first:
            found[first - 1].loss = (found[first - 1].loss or 0.0) + loss


def _digits(line: list[Cell], indent: int, screen: Screen) -> list[str]:
    """The line below that holds the losses, where there are any and no colour shows them."""
    if screen.color or not any(cell.starts for cell in line):
        return []
    below = " " * indent
    for cell in line:
        below += (digit(cell.loss) if cell.starts and cell.loss is not None else "").ljust(cell.width)
    return [below.rstrip()]


def painted(line: Iterable[Cell], screen: Screen) -> str:
    """The cells of a line, each in its style."""
    if not screen.color:
        return "".join([cell.text for cell in line])
    return "".join(
        screen.styled("".join([cell.text for cell in same]), style)
        for style, same in groupby(line, lambda cell: _style(cell, screen))
    )


def without_end(line: list[Cell]) -> list[Cell]:
    """The line without the spaces at which it was folded."""
    stop = len(line)
    while stop and line[stop - 1].text == " ":
        stop -= 1
    return line[:stop]


def _style(cell: Cell, screen: Screen) -> str:
    if cell.found:
        return _FOUND[cell.trained]
    if cell.loss is not None:
        return heat_style(cell.loss, cell.trained, screen.deep)
    return _STYLES[cell.kind, cell.trained]

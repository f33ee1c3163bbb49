"""The page that rows and templates are shown on: a gutter with turns and marks, then the text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from sftcli.view.cells import ASCII, UNICODE, Cell, Kind, Marks, cells, fold, one_line, width_of

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
_LEAST_ROOM = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text with one mask: one control token, or text that holds none."""

    text: str
    trained: bool
    control: bool = False
    turn: int | None = None
    role: str | None = None

    @property
    def speaker(self) -> tuple[int | None, str | None]:
        return self.turn, self.role


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the page is shown; `ascii_only` is for streams that are not UTF-8."""

    color: bool
    width: int
    ascii_only: bool = False

    @property
    def marks(self) -> Marks:
        return ASCII if self.ascii_only else UNICODE

    def paint(self, text: str, kind: Kind, trained: bool) -> str:
        return f"\x1b[{_STYLES[kind, trained]}m{text}\x1b[0m" if self.color and text else text


def page(spans: Iterable[Span], screen: Screen) -> list[str]:
    """Lay spans out as lines.

    A new turn starts a line. With colour the text runs on inside a turn; without, each line is
    all trained (marked T) or all masked, and control tokens stand in brackets.
    """
    joined = list(_joined(spans))
    gutter = _Gutter.for_spans(joined, screen)
    marks = screen.marks
    # A line break's sign and the space before it may stand beyond the room.
    room = max(screen.width - gutter.width - len(marks.newline) - 1, _LEAST_ROOM)
    lines: list[str] = []
    for speaker, turn in groupby(joined, lambda span: span.speaker):
        label = gutter.labels[speaker]
        for block in _blocks(turn, screen):
            for line in fold(block, room, marks.newline, marks.tab):
                lines.append(gutter.line(label, any(cell.trained for cell in line)) + _painted(line, screen))
                label = ""
    return lines


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
        columns = []
        if self.label_width:
            columns.append(label + " " * (self.label_width - width_of(label) + 1))
        if not self.screen.color:
            columns.append("T" if trained else " ")
        bar = self.screen.marks.trained_bar if trained else self.screen.marks.bar
        return "".join(columns) + self.screen.paint(bar, "mark", trained) + " "


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Join neighbouring text of one mask, so that what it spells is seen as a whole."""
    for (trained, control, turn, role), same in groupby(
        spans, lambda span: (span.trained, span.control, span.turn, span.role)
    ):
        if control:
            yield from same
        elif text := "".join(span.text for span in same):
            yield Span(text, trained, False, turn, role)


def _blocks(turn: Iterable[Span], screen: Screen) -> list[list[Cell]]:
    """The cells of one turn: all in one where colour tells the mask, else a block per mask."""
    runs = [_run_cells(run, screen) for _, run in groupby(turn, lambda span: span.trained)]
    return [[cell for run in runs for cell in run]] if screen.color else runs


def _run_cells(run: Iterable[Span], screen: Screen) -> list[Cell]:
    """The cells of spans of one mask. A space at either end would not be seen: it gets a sign."""
    found: list[Cell] = []
    for span in run:
        if not span.control:
            found.extend(cells(span.text, span.trained, screen.ascii_only))
            continue
        if found:
            found[-1].may_break = True
        text = one_line(span.text, screen.ascii_only)
        if not screen.color:
            text = screen.marks.open + text + screen.marks.close
        found.append(Cell(text, width_of(text), span.trained, "control", may_break=True))
    for end in (found, found[::-1]):
        for cell in end:
            if cell.text != " ":
                break
            cell.text, cell.width, cell.kind = screen.marks.space, len(screen.marks.space), "mark"
    return found


def _painted(line: list[Cell], screen: Screen) -> str:
    parts = [
        ("".join(cell.text for cell in same), kind, trained)
        for (kind, trained), same in groupby(line, lambda cell: (cell.kind, cell.trained))
    ]
    if parts:  # no space is left at the place where a line was folded
        text, kind, trained = parts[-1]
        parts[-1] = text.rstrip(" "), kind, trained
    return "".join(screen.paint(text, kind, trained) for text, kind, trained in parts)

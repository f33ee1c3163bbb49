"""What stands above and below a row in every view: where it is from, its notes, its counts."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence

from sftcli.view.cells import ASCII, UNICODE, one_line, width_of
from sftcli.view.loss import TOO_LONG, mean_loss
from sftcli.view.page import Screen
from sftcli.view.row import RowView, TokenView

MEANING = {
    "zero-trained": "no token of this row is trained",
    "truncated": "the row is too long for --max-length; it is shown as --truncation leaves it",
    "no-terminator": "a trained answer is not followed by the token that ends it",
    "straddle": "a token lies across the border of what is trained",
    "wrong-label": "a label is neither its token's id nor -100; see `sftcli verify`",
    "control-text": "the data spells a control token, and has it as ordinary characters",
    TOO_LONG: "the row is longer than the model's context, and has no losses",
}
_WHOLE = "the row is too long for --max-length; all of it is shown here"
_MOST_OF_FIELD = 60
_MOST_WEIGHTS = 4
_SGR = re.compile(r"\x1b\[[0-9;]*m")


def head(view: RowView, screen: Screen) -> list[str]:
    """Where the row is from, then a line for each thing to be known of it."""
    notes = [("dropped", f"prepare leaves this row out: {view.dropped}")] if view.dropped else []
    meaning = {**MEANING, "truncated": _WHOLE} if view.dropped == "too_long" else MEANING
    notes += [(mark, meaning.get(mark, "")) for mark in view.marks]
    found = [title(view, screen)]
    if fields := [_field(name, value, screen.ascii_only) for name, value in row_fields(view)]:
        found.append(joined(fields, screen))
    return [*found, *(line for name, text in notes for line in note_lines(name, text, screen))]


def row_fields(view: RowView) -> list[tuple[str, object]]:
    """What goes along with the whole row, by name, but for the id that its title has."""
    return [
        (name, value)
        for name, value in view.fields
        if not (view.documents and isinstance(value, tuple)) and (name != "id" or view.id is None)
    ]


def document_fields(view: RowView, index: int) -> list[tuple[str, object]]:
    """What goes along with one of the packed documents, by name."""
    return [
        (name, values[index])
        for name, values in view.fields
        if isinstance(values, tuple) and index < len(values)
    ]


def field_text(value: object, most: int, ascii_only: bool = False) -> str:
    """A value in one safe line, and no more than so many characters of it."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > most:
        text = f"{text[:most]}{(ASCII if ascii_only else UNICODE).cut}"
    return one_line(text, ascii_only)


def _field(name: str, value: object, ascii_only: bool) -> str:
    return f"{one_line(name, ascii_only)} {field_text(value, _MOST_OF_FIELD, ascii_only)}"


def title(view: RowView, screen: Screen) -> str:
    """The record, the row's number (in its split too) and its id, as far as they are known."""
    parts = [f"row {view.row:,}"]
    if view.split is not None and view.place is not None:
        parts.append(view.split if view.place == view.row else f"{view.split} {view.place:,}")
    if view.source is not None:
        parts.insert(0, one_line(view.source.place, screen.ascii_only))
    if view.id is not None:
        parts.append(f"id {one_line(view.id, screen.ascii_only)}")
    return joined(parts, screen)


def counts_line(view: RowView, screen: Screen, *first: str, marked: bool = True) -> str:
    """Tokens, trained tokens and their share, turns, documents, padding, and the mean loss.

    `first` stands before them. `marked`: without colour, what is trained has a T before it.
    """
    counts = view.counts
    share = counts.trained / counts.tokens if counts.tokens else 0.0
    trained = screen.paint(f"{counts.trained:,} trained", "text", counts.trained > 0)
    legend = ", marked T" if marked and not screen.color else ""
    parts = [*first, number(counts.tokens, "token"), f"{trained} ({share:.1%}{legend})"]
    if view.documents:
        parts.append(number(len(view.documents), "document"))
    elif counts.turns is not None:
        parts.append(number(counts.turns, "turn"))
    if padding := sum(token.padding for token in view.tokens):
        parts.append(f"{padding:,} padding")
    if weights := weights_text(view):
        parts.append(weights)
    if (mean := mean_loss(view)) is not None:
        parts.append(f"mean loss {mean:.4f}")
    return joined(parts, screen)


def weights_text(view: RowView) -> str:
    """The loss weights of what is trained, or the least and the most of many; empty where there are none."""
    weights = [f"{weight:g}" for weight in view.weights]
    if not weights:
        return ""
    shown = ", ".join(weights) if len(weights) <= _MOST_WEIGHTS else f"{weights[0]} to {weights[-1]}"
    return f"weight{'s' * (len(weights) > 1)} {shown}"


def note_lines(name: str, text: str, screen: Screen) -> list[str]:
    """A warning in as many lines as it takes."""
    name = f"! {one_line(name, screen.ascii_only)}"
    lines = textwrap.wrap(
        f"{name}: {one_line(text, screen.ascii_only)}".removesuffix(": "),
        screen.width,
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    return [screen.warn(name) + lines[0].removeprefix(name), *lines[1:]]


def number(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def joined(parts: Sequence[str], screen: Screen) -> str:
    """The parts in a line, or in several where they do not fit."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}{screen.marks.dot}{part}"
        if width_of(_SGR.sub("", longer)) <= screen.width:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(lines)


def documents(view: RowView, ascii_only: bool = False) -> Iterator[tuple[str, Sequence[TokenView]]]:
    """(heading, tokens) of each packed row, or of what is read and what is answered.

    Any other row is one part without a heading.
    """
    if view.answer is not None:
        for name, part in (("input_ids", view.tokens[: view.answer]), ("labels", view.tokens[view.answer :])):
            yield f"{name}, {number(len(part), 'token')}", part
        return
    bounds = view.bounds
    if not bounds:
        yield "", view.tokens
        return
    if first := bounds[0][0]:
        yield f"before the documents, {number(first, 'token')}", view.tokens[:first]
    for index, (start, stop) in enumerate(bounds):
        part = view.tokens[start:stop]
        facts = [f"document {index + 1:,} of {len(bounds):,}", number(len(part), "token")]
        facts += [one_line(source.place, ascii_only) for source in view.sources[index : index + 1]]
        facts += [_field(name, value, ascii_only) for name, value in document_fields(view, index)]
        yield ", ".join(facts), part
    if rest := view.tokens[bounds[-1][1] :]:
        yield f"after the documents, {number(len(rest), 'token')}", rest

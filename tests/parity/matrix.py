"""The parity matrix: every chat template that trl carries on every conversation of this suite.

    python tests/parity/matrix.py [TEMPLATE ...]

For each pair: the text equals transformers', the ids equal its one-shot ids, the marks equal those
read off transformers' text, the derived mask obeys its definition wherever a prefix render shows it,
and every difference between marks and derived mask has a name.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import reference
from conversations import conversations

from sftcli.chat_template import ChatTemplate
from sftcli.conversation import Conversation
from sftcli.encode import Encoder
from sftcli.engine import ReferenceEngine
from sftcli.errors import SftcliError
from sftcli.mask import MaskPolicy
from sftcli.rendered import Rendered
from sftcli.tokenizer import Tokenizer, load_tokenizer


@dataclass
class Row:
    """What came of one template on all conversations."""

    name: str
    exact: int = 0
    refused: dict[str, str] = field(default_factory=dict)  # by the template, with its message
    unproven: dict[str, str] = field(default_factory=dict)  # by sftcli, with the reason
    wrong: dict[str, str] = field(default_factory=dict)  # must stay empty
    by_definition: int = 0  # turns whose start a prefix render shows
    ends_by_definition: int = 0  # turns whose end a render shows that ends with them
    turns: int = 0
    marks: int = 0  # rows whose marks equal the reference's
    differences: Counter[str] = field(default_factory=Counter)  # turns, derived against marks, by name


def run(name: str, tokenizer: Tokenizer) -> Row:
    row = Row(name)
    derived = reference.load(name, tokenizer, spans="derived")
    marked = reference.load(name, tokenizer, spans="marks") if derived.has_marks else None
    encoder = Encoder(derived.tokenizer, ReferenceEngine(derived.tokenizer))
    for label, conversation in conversations().items():
        try:
            _one(row, label, conversation, derived, marked, encoder)
        except AssertionError as problem:
            row.wrong[label] = str(problem)
    return row


def _one(
    row: Row,
    label: str,
    conversation: Conversation,
    derived: ChatTemplate,
    marked: ChatTemplate | None,
    encoder: Encoder,
) -> None:
    expected = reference.render(derived, conversation)
    rendered, failure = _rendered(derived, conversation)
    if rendered is None:
        code = getattr(failure, "code", "TemplateError")
        if code in ("template_refused", "template_error"):
            assert expected.refusal is not None, f"sftcli alone refuses: {failure}"
            row.refused[label] = f"{code}: {failure}"
        else:
            assert expected.refusal is None, f"{code}, but the template refuses: {expected.refusal}"
            row.unproven[label] = f"{code}: {failure}"
        return
    assert expected.refusal is None, f"the template refuses: {expected.refusal!r}"
    assert rendered.text == expected.text, f"text differs: {_differ(rendered.text, expected.text)}"
    _check_ids(encoder, rendered)
    spans = _trained(rendered)
    for index, message in enumerate(conversation.messages):
        if message.role == "assistant":
            row.turns += 1
            _check_definition(row, derived, conversation, index, rendered, spans.get(index))
    row.exact += 1
    if marked is not None:
        _compare_marks(row, marked, conversation, rendered)


def _rendered(
    template: ChatTemplate, conversation: Conversation
) -> tuple[Rendered | None, SftcliError | None]:
    try:
        return template.render_row(conversation, MaskPolicy(), None), None
    except SftcliError as problem:
        return None, problem


def _differ(a: str, b: str) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"at {at}: {a[at - 20 : at + 30]!r}, expected {b[at - 20 : at + 30]!r}"


def _check_ids(encoder: Encoder, rendered: Rendered) -> None:
    """Ids equal the one-shot ids of the text where no data holds a control token's text."""
    if not encoder.control_texts([rendered]):
        ids = encoder.encode([rendered], [1]).ids.tolist()
        assert ids == encoder.engine.one_shot(rendered.text), "ids differ from the one-shot ids"


def _trained(rendered: Rendered) -> dict[int, tuple[int, int]]:
    """First and last trained character of each turn. Asserts that nothing in between is masked."""
    spans: dict[int, tuple[int, int]] = {}
    at = 0
    for piece in rendered.pieces:
        stop = at + len(piece.text)
        if piece.trained:
            assert piece.role == "assistant", f"a {piece.role} piece is trained"
            start, reached = spans.get(piece.turn, (at, at))
            assert reached == at, f"turn {piece.turn} is trained in two parts"
            spans[piece.turn] = (start, stop)
        at = stop
    return spans


def _check_definition(
    row: Row,
    template: ChatTemplate,
    conversation: Conversation,
    index: int,
    rendered: Rendered,
    span: tuple[int, int] | None,
) -> None:
    """M2 itself: where the messages before a turn render as a prefix of the whole, it starts at its end."""
    assert span is not None, f"message {index} is not trained"
    start, stop = span
    given = reference.render(template, conversation, index, prompt=True)
    if given.refusal is None and index and rendered.text.startswith(given.text):
        assert start == len(given.text), f"message {index} starts at {start}, not {len(given.text)}"
        row.by_definition += 1
    assert start < stop, f"message {index} is empty"
    assert not rendered.text[stop - 1].isspace(), f"message {index} ends in white space"
    alone = reference.render(template, conversation, index + 1)
    ending = alone.text.rstrip()
    if alone.refusal is None and index + 1 == len(conversation.messages):
        closing = ("", template.variables["eos_token"])
        assert rendered.text[stop:].strip() in closing, f"message {index} ends before the text does"
        row.ends_by_definition += 1
    elif alone.refusal is None and rendered.text.startswith(ending):
        assert stop == len(ending), f"message {index} ends at {stop}, by definition at {len(ending)}"
        row.ends_by_definition += 1


def _compare_marks(row: Row, marked: ChatTemplate, conversation: Conversation, rendered: Rendered) -> None:
    expected = reference.render_marked(marked, conversation)
    assert expected.text == rendered.text, "the marked text differs"
    try:
        taken = marked.render_row(conversation, MaskPolicy(), None)
    except SftcliError as problem:
        row.differences[f"marks refused: {problem}"] += 1
        return
    trained = {at for at, flag in enumerate(_flags(taken)) if flag}
    wanted = {at for start, stop in expected.marks for at in range(start, stop)}
    assert trained == wanted, "marks differ from those of the reference"
    row.marks += 1
    derived = _trained(rendered)
    marks = _by_turn(expected.marks, derived)
    for turn, span in derived.items():
        for name in _names(rendered.text, span, marks.get(turn), marked):
            row.differences[name] += 1


def _flags(rendered: Rendered) -> Iterator[bool]:
    for piece in rendered.pieces:
        yield from (piece.trained for _ in piece.text)


def _by_turn(
    marks: tuple[tuple[int, int], ...], derived: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """Each mark with the turn that it overlaps, several of one turn joined."""
    found: dict[int, tuple[int, int]] = {}
    for start, stop in marks:
        for turn, (first, last) in derived.items():
            if start < last and first < stop:
                known = found.get(turn, (start, stop))
                found[turn] = (min(known[0], start), max(known[1], stop))
    return found


def _names(
    text: str, derived: tuple[int, int], marked: tuple[int, int] | None, template: ChatTemplate
) -> list[str]:
    """What a twin does otherwise than M2, in words."""
    if marked is None:
        return ["turn not marked"]
    names: list[str] = []
    early, late = text[marked[0] : derived[0]], text[derived[0] : marked[0]]
    if early:
        names.append(_early(early, template))
    if late:
        names.append("masks white space that the model writes" if late.isspace() else _late(late))
    over, under = text[derived[1] : marked[1]], text[marked[1] : derived[1]]
    if over:
        closing = template.variables["eos_token"]
        kind = (
            "white space"
            if over.isspace()
            else "the closing token"
            if over.strip() == closing
            else f"{over!r}"
        )
        names.append(f"marks {kind} after the terminator")
    if under:
        names.append(f"does not mark the terminator {under!r}")
    return names or ["equal"]


def _early(early: str, template: ChatTemplate) -> str:
    if early in template.usual_prompt:
        kind = (
            "white space" if early.isspace() else "thinking" if early.startswith("<think") else "the header"
        )
        return f"marks {kind} that the generation prompt supplies"
    return f"marks {early!r}, which closes the message before"


def _late(late: str) -> str:
    return f"masks {late!r} that the model writes"


def matrix(names: list[str]) -> list[Row]:
    tokenizer = load_tokenizer("demo")
    return [run(name, tokenizer) for name in names]


def main() -> int:
    rows = matrix(sys.argv[1:] or reference.template_names())
    total = len(conversations())
    print(
        f"{'template':34} exact refused unproven wrong  starts  ends of turns      marks  derived and marks"
    )
    for row in rows:
        counts = f"{row.exact:5} {len(row.refused):7} {len(row.unproven):8} {len(row.wrong):5}"
        shown = f"{row.by_definition:8} {row.ends_by_definition:5} of {row.turns:<9}"
        differences = ", ".join(f"{name} {count}" for name, count in row.differences.most_common())
        print(f"{row.name:34} {counts}  {shown}  {row.marks:5}  {differences}")
        if len(sys.argv) > 1:
            for kind in ("refused", "unproven", "wrong"):
                for label, reason in getattr(row, kind).items():
                    print(f"    {kind}: {label}: {reason}")
    sums = [sum(len(getattr(row, kind)) for row in rows) for kind in ("refused", "unproven", "wrong")]
    exact = sum(row.exact for row in rows)
    print(
        f"{len(rows)} templates x {total} conversations: {exact} exact, {sums[0]} refused by template, "
        f"{sums[1]} unproven, {sums[2]} wrong"
    )
    return 1 if sums[2] else 0


if __name__ == "__main__":
    sys.exit(main())

"""One row as a person sees it: its tokens with their text, their mask and where they came from."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, NoReturn

import numpy as np
import numpy.typing as npt

from sftcli.batch import IGNORE, TokenBatch
from sftcli.errors import TokenizerError
from sftcli.plan import STDIN
from sftcli.rendered import Rendered
from sftcli.tokenizer import Tokenizer

Origin = Literal["template", "content"]


@dataclass(frozen=True, slots=True)
class Source:
    """The record a row was made from; `line` is 1-based, None where it is not known."""

    file: str
    line: int | None

    @property
    def place(self) -> str:
        """`file:line`, or the file alone; not made safe to print."""
        name = shown_name(self.file)
        return name if self.line is None else f"{name}:{self.line}"


def shown_name(file: str) -> str:
    """What a person calls an input."""
    return "standard input" if file == STDIN else file


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token. `origin`, `turn` and `role` are None where they are not known.

    `text`: the texts of a row's tokens, joined, are the row's text; bytes that are no text stand
    as `\\xNN`. A character that is split over several tokens is never cut: `group` says how many
    tokens share this text, and the others have group 0 and no text. `control`: one of the
    tokenizer's control tokens. `padding`: its attention mask is 0. `loss`: a model's negative
    log-likelihood of this token in nats, None where none was computed. `weight`: its loss weight, None
    where rows have none.
    """

    i: int
    id: int
    text: str
    label: int
    trained: bool
    control: bool
    origin: Origin | None = None
    turn: int | None = None
    role: str | None = None
    group: int = 1
    padding: bool = False
    loss: float | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all but padding. `turns` is None where the turns are not known."""

    tokens: int
    trained: int
    turns: int | None = None


@dataclass(frozen=True, slots=True)
class RowView:
    """One row; `row` is its number, from 0.

    `id` is the record's own, where it has one. `documents` are the lengths of the rows that were
    packed into this one, empty where none were; `sources` is where each came from, where that is known.
    `fields` are a row's other values, by name: its length, and what went along with the record (a tuple,
    of a value for each document, where rows are packed). `answer`: of a row whose answer does not lie
    beside what is read, the place where it begins. `dropped`: why `prepare` would leave the row out,
    None where it would not. `marks` name what is to be known of the row, such as "straddle" or
    "control-text". `split` and `place`: of a folder of several splits, which one the row is in, and its
    number there. `found`: where in the row's text that stands which was looked for: (first character,
    past the last), in order.
    """

    row: int
    source: Source | None
    tokens: tuple[TokenView, ...]
    id: str | None = None
    documents: tuple[int, ...] = ()
    sources: tuple[Source, ...] = ()
    fields: tuple[tuple[str, object], ...] = ()
    answer: int | None = None
    dropped: str | None = None
    marks: tuple[str, ...] = ()
    split: str | None = None
    place: int | None = None
    found: tuple[tuple[int, int], ...] = ()

    @property
    def weights(self) -> list[float]:
        """The loss weights of what is trained, each once, the least first; empty where rows have none."""
        return sorted({token.weight for token in self.tokens if token.trained and token.weight is not None})

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Where each document begins and ends, which padding may stand before."""
        first = next((token.i for token in self.tokens if not token.padding), 0)
        return list(pairwise(accumulate(self.documents, initial=first)))

    @property
    def counts(self) -> Counts:
        turns = {token.turn for token in self.tokens if token.turn is not None}
        known = bool(turns) or any(token.origin is not None for token in self.tokens)
        trained = sum(token.trained for token in self.tokens)
        tokens = sum(not token.padding for token in self.tokens)
        return Counts(tokens, trained, len(turns) if known else None)


def row_from_batch(
    tokenizer: Tokenizer,
    batch: TokenBatch,
    index: int,
    rendered: Rendered,
    source: Source | None,
    *,
    row: int | None = None,
    weights: npt.NDArray[np.float32] | None = None,
) -> RowView:
    """Row `index` of a batch, with all that is known before writing.

    `rendered` is what that row was encoded from; `row` is its number among all rows, where that
    is not its place in the batch. `weights` are those of all tokens of the batch, if they have any.
    """
    part = slice(int(batch.offsets[index]), int(batch.offsets[index + 1]))
    ids, labels = batch.ids[part].tolist(), batch.labels()[part].tolist()
    trained = batch.trained[part].tolist()
    texts = token_texts(_bytes_of(tokenizer, ids))
    places = _places(texts, batch.piece[part].tolist(), rendered)
    pieces = rendered.pieces
    control = _control_ids(tokenizer)
    tokens = []
    for i, (text, group) in enumerate(texts):
        piece = pieces[places[i]]
        tokens.append(
            TokenView(
                i=i,
                id=ids[i],
                text=text,
                label=labels[i],
                trained=trained[i],
                control=ids[i] in control,
                origin="content" if piece.content else "template",
                turn=piece.turn if piece.turn >= 0 else None,
                role=piece.role or None,
                group=group,
                weight=None if weights is None else shortest(weights[part][i]),
            )
        )
    return RowView(index if row is None else row, source, tuple(tokens))


def shortest(weight: np.float32) -> float:
    """The number that a weight was written as: 0.1, and not 0.10000000149011612."""
    return float(str(weight))


def row_from_columns(
    tokenizer: Tokenizer,
    ids: Sequence[int] | npt.NDArray[np.integer],
    labels: Sequence[int] | npt.NDArray[np.integer],
    row: int,
    *,
    source: Source | None = None,
    attention_mask: Sequence[int] | npt.NDArray[np.integer] | None = None,
    documents: Sequence[int] = (),
    turns: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    answer: int | None = None,
) -> RowView:
    """A row of a prepared folder, whose labels lie beside the ids of which they are.

    Tokens whose `attention_mask` is 0 are padding. `documents` are the lengths of the rows that
    were packed into this one. `turns` are the tokens' messages, -1 for none, and `weights` their loss
    weights, where they are known. `answer` is where the answer begins, of a row that has it apart. Raises
    TokenizerError for an id or label that the tokenizer does not have.
    """
    plain_ids, plain_labels = [int(value) for value in ids], [int(value) for value in labels]
    mask = [1] * len(plain_ids) if attention_mask is None else attention_mask
    control = _control_ids(tokenizer)
    tokens_bytes = _bytes_of(tokenizer, plain_ids)
    # What is read and what is answered are two texts, though a character may lie across them.
    texts = token_texts(tokens_bytes[:answer])
    texts += [] if answer is None else token_texts(tokens_bytes[answer:])
    for label in plain_labels:
        if label != IGNORE and not 0 <= label < tokenizer.size:
            _refuse_id(tokenizer, label, "label")
    size = len(plain_ids)
    columns = zip(
        *(plain_ids, plain_labels, mask, texts),
        [None if turn < 0 else turn for turn in turns] if turns is not None else [None] * size,
        weights if weights is not None else [None] * size,
        strict=True,
    )
    tokens = (
        TokenView(
            *(i, id_, text, label, label != IGNORE, id_ in control),
            turn=turn,
            group=group,
            padding=not attended,
            weight=weight,
        )
        for i, (id_, label, attended, (text, group), turn, weight) in enumerate(columns)
    )
    return RowView(row, source, tuple(tokens), documents=tuple(map(int, documents)), answer=answer)


def check_ids(tokenizer: Tokenizer, ids: npt.NDArray[np.integer]) -> None:
    """Raise TokenizerError where an id is beyond the tokenizer's."""
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < tokenizer.size:
        _refuse_id(tokenizer, int(ids[(ids < 0) | (ids >= tokenizer.size)][0]))


def token_texts(tokens: Sequence[bytes]) -> list[tuple[str, int]]:
    """Each token's (text, group): whole characters, on the first of the tokens that share them."""
    texts: list[tuple[str, int]] = []
    while len(texts) < len(tokens):
        first = len(texts)
        size = _group_size(tokens, first)
        text = b"".join(tokens[first : first + size]).decode(errors="backslashreplace")
        texts.append((text, size))
        texts.extend([("", 0)] * (size - 1))
    return texts


def _group_size(tokens: Sequence[bytes], first: int) -> int:
    """How many tokens from `first` on it takes until no character is cut.

    A token whose bytes are no text, whatever follows, stands alone.
    """
    raw = b""
    for last in range(first, len(tokens)):
        raw += tokens[last]
        try:
            raw.decode()
        except UnicodeDecodeError as problem:
            if problem.end < len(raw) or problem.reason != "unexpected end of data":
                return 1
        else:
            return last - first + 1
    return 1


def _places(texts: Sequence[tuple[str, int]], places: list[int], rendered: Rendered) -> list[int]:
    """The piece that each token is seen as part of.

    A batch gives a token to the piece of its first byte, so that of `hi ` and `USER:` the token
    ` USER` would go to the turn before; a reader looks at the word.
    """
    if "".join(text for text, _ in texts) != rendered.text:
        return places  # some tokenizers add a space or swallow one
    stops = list(accumulate(len(piece.text) for piece in rendered.pieces))
    seen, at = list(places), 0
    for i, (text, _) in enumerate(texts):
        space = len(text) - len(text.lstrip())
        if 0 < space < len(text):
            seen[i] = bisect_right(stops, at + space)
        at += len(text)
    return seen


def _bytes_of(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    known: dict[int, bytes] = {}
    for id_ in ids:
        if id_ not in known:
            if tokenizer.token_text(id_) is None:
                _refuse_id(tokenizer, id_)
            known[id_] = tokenizer.token_bytes(id_)
    return [known[id_] for id_ in ids]


def _refuse_id(tokenizer: Tokenizer, id_: int, kind: str = "id") -> NoReturn:
    raise TokenizerError(
        f"{kind} {id_} is not in tokenizer {tokenizer.name!r} (its ids end at {tokenizer.size - 1}); "
        "name the tokenizer that made these tokens"
    )


def _control_ids(tokenizer: Tokenizer) -> frozenset[int]:
    return frozenset(token.id for token in tokenizer.control_tokens.values())

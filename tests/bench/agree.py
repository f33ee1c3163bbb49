"""Read what the contenders wrote, and say whether two of them wrote the same rows."""

import json
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ["input_ids", "labels"]
MASKED = -100
EXPLAINED = 1000  # differing rows whose records are looked into: a broken contender differs in all
TAIL = "the baseline trains what follows the terminator"

Row = dict[str, Any]  # int32[T] by column


@dataclass
class Output:
    """The sums of one contender's output, and one digest of ids and labels for each row."""

    files: list[Path]
    rows: int = 0
    tokens: int = 0
    trained: int = 0
    size: int = 0
    digests: list[int] = field(default_factory=list)


@dataclass
class Agreement:
    """How all rows compare; `differing` counts rows by what explains the difference."""

    equal: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    first: str = ""


def read_output(out: Path) -> Output:
    """Count rows, tokens and trained tokens below `out` (a file or a folder), in file order."""
    output = Output(data_files(out))
    for file in output.files:
        output.size += file.stat().st_size
        for batch in batches(file):
            ids, labels = (flat(batch, name) for name in COLUMNS)
            output.rows += batch.num_rows
            output.tokens += len(ids)
            output.trained += int(np.count_nonzero(labels != MASKED))
            id_ends, label_ends = (row_ends(batch, name) for name in COLUMNS)
            output.digests += [
                hash((mine.tobytes(), label.tobytes()))
                for mine, label in zip(np.split(ids, id_ends), np.split(labels, label_ends), strict=True)
            ]
    return output


def data_files(out: Path) -> list[Path]:
    if out.is_file():
        return [out]
    return sorted(path for end in ("parquet", "arrow") for path in out.rglob(f"*.{end}"))


def batches(file: Path) -> Iterator[Any]:
    if file.suffix == ".parquet":
        stored = pq.ParquetFile(file).iter_batches(1024, columns=COLUMNS)
        yield from (batch for batch in stored if batch.num_rows)
    else:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                if batch.num_rows:
                    yield batch.select(COLUMNS)


def flat(batch: Any, name: str) -> Any:
    """One list column's values, as int32 whatever the width it was written in."""
    return batch.column(name).flatten().to_numpy(zero_copy_only=False).astype(np.int32, copy=False)


def row_ends(batch: Any, name: str) -> Any:
    """Where each row but the last ends in the column's flat values."""
    return np.cumsum(pc.list_value_length(batch.column(name)).to_numpy(zero_copy_only=False))[:-1]


def compare(corpus: Path, tokenizer: Path, ours: Output, theirs: Output, step: int = 1) -> Agreement:
    """Compare all rows of `ours`, ids and labels, with every `step`-th of the baseline's."""
    pairs = zip(ours.digests, theirs.digests[::step], strict=True)
    unequal = [row for row, (left, right) in enumerate(pairs) if left != right]
    agreement = Agreement(equal=len(ours.digests) - len(unequal))
    if not unequal:
        return agreement
    left, right = read_rows(ours, unequal), read_rows(theirs, [row * step for row in unequal])
    reasons = {
        row: TAIL if trains_the_tail(left[row], right[row * step]) else "unexplained" for row in unequal
    }
    open_ones = [row for row in unequal if reasons[row] == "unexplained"]
    records = read_records(corpus, [row * step for row in open_ones[:EXPLAINED]])
    judge = load_tokenizer(tokenizer) if records else None
    reasons |= {row // step: explain(record, judge) for row, record in records.items()}
    agreement.differing.update(reasons.values())
    # The first that nothing explains is the one to look at.
    row = next((row for row in unequal if reasons[row] == "unexplained"), unequal[0])
    where = first_difference(left[row], right[row * step])
    agreement.first = f"row {row}, {reasons[row]}; {where}"
    return agreement


def trains_the_tail(ours: Row, theirs: Row) -> bool:
    """Whether the ids are equal, and the baseline trains what ours masks at the end of the row."""
    if not np.array_equal(ours["input_ids"], theirs["input_ids"]):
        return False
    differ = np.flatnonzero(ours["labels"] != theirs["labels"])
    tail = ours["labels"][differ[0] :]
    return bool(
        (tail == MASKED).all()
        and np.array_equal(theirs["labels"][-len(tail) :], theirs["input_ids"][-len(tail) :])
    )


def read_records(corpus: Path, rows: Collection[int]) -> dict[int, dict[str, Any]]:
    wanted = set(rows)
    with corpus.open("rb") as file:
        lines = (line for line in file if line.strip())
        return {row: json.loads(line) for row, line in enumerate(lines) if row in wanted}


def read_rows(output: Output, rows: Sequence[int]) -> dict[int, Row]:
    """The rows of these numbers, which rise."""
    found: dict[int, Row] = {}
    wanted, first = deque(rows), 0
    for file in output.files:
        for batch in batches(file):
            while wanted and wanted[0] < first + batch.num_rows:
                row = wanted.popleft()
                one = batch.slice(row - first, 1)
                found[row] = {name: flat(one, name) for name in COLUMNS}
            first += batch.num_rows
    return found


def load_tokenizer(folder: Path) -> Any:
    # Imported here: it takes seconds, and there is mostly no difference to explain.
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))


def explain(record: dict[str, Any], tokenizer: Any) -> str:
    """Name what may make the baseline's row differ from a correct one, or `unexplained`."""
    from by_hand import to_messages

    messages = to_messages(record)
    control = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    if any(text in message["content"] for message in messages for text in control):
        return "content holds control text"
    whole = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    if whole[: len(prompt)] != prompt:
        return "the prompt is not a prefix"
    return "unexplained"


def first_difference(ours: Row, theirs: Row) -> str:
    for name in COLUMNS:
        left, right = ours[name], theirs[name]
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            if a != b:
                return f"{name}[{i}] is {a}, by hand {b}"
        if len(left) != len(right):
            return f"{len(left)} {name}, by hand {len(right)}"
    return "no difference"

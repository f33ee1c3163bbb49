"""Read what the contenders wrote, and say whether two of them wrote the same rows."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ["input_ids", "labels"]
MASKED = -100


@dataclass
class Output:
    """The sums of one contender's output, and the sampled rows by their number."""

    rows: int = 0
    tokens: int = 0
    trained: int = 0
    size: int = 0
    sampled: dict[int, dict[str, list[int]]] = field(default_factory=dict)


@dataclass
class Agreement:
    """How sampled rows compare; `differing` counts rows by what explains the difference."""

    equal: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    first: str = ""


def read_output(out: Path, sample: Collection[int]) -> Output:
    """Count rows, tokens and trained tokens below `out` (a file or a folder), in file order."""
    output = Output()
    wanted = sorted(sample)
    for file in data_files(out):
        output.size += file.stat().st_size
        for batch in batches(file):
            for row in wanted:
                if output.rows <= row < output.rows + batch.num_rows:
                    output.sampled[row] = batch.slice(row - output.rows, 1).to_pylist()[0]
            ids, labels = (batch.column(name).flatten() for name in COLUMNS)
            output.rows += batch.num_rows
            output.tokens += len(ids)
            output.trained += pc.sum(pc.not_equal(labels, MASKED)).as_py() or 0
    return output


def data_files(out: Path) -> list[Path]:
    if out.is_file():
        return [out]
    return sorted(path for end in ("parquet", "arrow") for path in out.rglob(f"*.{end}"))


def batches(file: Path) -> Iterator[Any]:
    if file.suffix == ".parquet":
        yield from pq.ParquetFile(file).iter_batches(1024, columns=COLUMNS)
    else:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                yield batch.select(COLUMNS)


def compare(corpus: Path, tokenizer: Path, ours: Output, theirs: Output) -> Agreement:
    """Compare the sampled rows of `ours` with those of the baseline, ids and labels."""
    agreement = Agreement()
    unequal = [row for row in sorted(theirs.sampled) if ours.sampled[row] != theirs.sampled[row]]
    agreement.equal = len(theirs.sampled) - len(unequal)
    if not unequal:
        return agreement
    records = read_records(corpus, unequal)
    judge = load_tokenizer(tokenizer)
    for row in unequal:
        reason = explain(records[row], judge)
        agreement.differing[reason] += 1
        if not agreement.first:
            where = first_difference(ours.sampled[row], theirs.sampled[row])
            agreement.first = f"row {row}, {reason}; {where}"
    return agreement


def read_records(corpus: Path, rows: Collection[int]) -> dict[int, dict[str, Any]]:
    with corpus.open("rb") as file:
        lines = (line for line in file if line.strip())
        return {row: json.loads(line) for row, line in enumerate(lines) if row in rows}


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
    prompt = tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, return_dict=False
    )
    if whole[: len(prompt)] != prompt:
        return "the prompt is not a prefix"
    return "unexplained"


def first_difference(ours: dict[str, list[int]], theirs: dict[str, list[int]]) -> str:
    for name in COLUMNS:
        left, right = ours[name], theirs[name]
        for i, (a, b) in enumerate(zip(left, right, strict=False)):
            if a != b:
                return f"{name}[{i}] is {a}, by hand {b}"
        if len(left) != len(right):
            return f"{len(left)} {name}, by hand {len(right)}"
    return "no difference"

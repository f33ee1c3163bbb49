"""Packing: rows against the slow and obvious way, and the counts that a packed folder keeps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import EXAMPLES, Here, make, manifest, tree, write
from hypothesis import given
from hypothesis import strategies as st
from test_packing import one_by_one

from sftcli.batch import Rows, objects
from sftcli.config import Config, load_config
from sftcli.errors import ConfigError, DataError
from sftcli.pack import LeftOut, packed
from sftcli.prepared import facts_in
from sftcli.stats.prepared import measure_prepared
from sftcli.stats.raw import measure_raw


@dataclass
class Document:
    """A record's tokens; each has its id, whether it is trained, a weight and a turn."""

    name: str
    ids: list[int]
    trained: list[bool]

    @property
    def weights(self) -> list[float]:
        return [0.5 * own for own in self.trained]

    @property
    def turns(self) -> list[int]:
        return [own % 7 - 1 for own in self.ids]


def rows_of(documents: Sequence[Document], whole: bool = True) -> Rows:
    """Rows that hold one document each; `whole`: with all that may go along."""
    lengths = np.array([len(document.ids) for document in documents], np.int64)
    more: dict[str, Any] = {}
    if whole:
        more["weights"] = np.array([own for document in documents for own in document.weights], np.float32)
        more["turns"] = np.array([own for document in documents for own in document.turns], np.int32)
        more["carried"] = {"name": objects([document.name for document in documents])}
    return Rows(
        ids=np.array([own for document in documents for own in document.ids], np.int32),
        trained=np.array([own for document in documents for own in document.trained], np.bool_),
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))),
        documents=lengths,
        document_offsets=np.arange(len(documents) + 1),
        **more,
    )


# (name, token, trained, weight, turn) of each token of a part of a document; parts of a row; rows.
Token = tuple[str, int, bool, float, int]
Packed = list[list[list[Token]]]


def listed(batches: Sequence[Rows]) -> Packed:
    """What was written, as lists."""
    found: Packed = []
    for rows in batches:
        assert rows.weights is not None
        assert rows.turns is not None
        tokens = zip(
            *(rows.ids.tolist(), rows.trained.tolist(), rows.weights.tolist(), rows.turns.tolist()),
            strict=True,
        )
        names = iter(rows.carried["name"].tolist())
        lengths = iter(rows.documents.tolist())
        for row in range(len(rows)):
            parts = []
            for _ in range(int(rows.document_offsets[row + 1] - rows.document_offsets[row])):
                name = next(names)
                parts.append([(name, *next(tokens)) for _ in range(next(lengths))])
            assert sum(map(len, parts)) == rows.offsets[row + 1] - rows.offsets[row]
            found.append(parts)
        assert (next(names, None), next(lengths, None), next(tokens, None)) == (None, None, None)
    return found


def pack(
    how: str, length: int, batches: Sequence[Sequence[Document]], window: int | None = None
) -> tuple[Packed, LeftOut]:
    taken: list[Rows] = []
    left_out = LeftOut()
    with packed(how, length, taken.append, left_out, window) as add:
        for batch in batches:
            add(rows_of(batch))
    return listed(taken), left_out


def whole_part(document: Document, start: int = 0, stop: int | None = None) -> list[Token]:
    """Tokens of a document as they stand in a packed row: the first one is untrained."""
    tokens = list(
        zip(
            *([document.name] * len(document.ids), document.ids, document.trained),
            *(document.weights, document.turns),
            strict=True,
        )
    )[start:stop]
    name, own, _, _, turn = tokens[0]
    return [(name, own, False, 0.0, turn), *tokens[1:]]


def slow_bfd(documents: Sequence[Document], length: int) -> Packed:
    bins = one_by_one([len(document.ids) for document in documents], length)
    order = sorted(range(len(documents)), key=lambda index: -len(documents[index].ids))
    rows: Packed = [[] for _ in range(max(bins, default=-1) + 1)]
    for index in order:
        rows[bins[index]].append(whole_part(documents[index]))
    return rows


def slow_wrapped(documents: Sequence[Document], length: int) -> Packed:
    rows: Packed = [[]]
    for document in documents:
        start = 0
        while start < len(document.ids):
            room = length - sum(map(len, rows[-1]))
            if not room:
                rows.append([])
                continue
            part = whole_part(document, start, start + room)
            rows[-1].append(part)
            start += len(part)
    return rows


def is_trained(row: list[list[Token]]) -> bool:
    return any(trained for part in row for _, _, trained, _, _ in part)


def expected(rows: Packed, documents: Sequence[Document]) -> tuple[Packed, LeftOut]:
    """Without the rows in which nothing is trained, which are counted."""
    kept = [row for row in rows if is_trained(row)]
    bare = [row for row in rows if row and not is_trained(row)]
    standing = {part[0][0] for row in kept for part in row}
    return kept, LeftOut(
        len(bare),
        sum(len(part) for row in bare for part in row),
        sum(document.name not in standing for document in documents),
    )


def documents_of(*flags: str) -> list[Document]:
    """Documents drawn as text: T is a trained token, any other character an untrained one."""
    made, number = [], 0
    for name, text in enumerate(flags):
        made.append(
            Document(str(name), list(range(number, number + len(text))), [one == "T" for one in text])
        )
        number += len(text)
    return made


def drawn(rows: Packed) -> list[str]:
    return ["|".join("".join(".T"[one[2]] for one in part) for part in row) for row in rows]


def test_two_records_in_one_row() -> None:
    """MASKS 19: A of 3 tokens and B of 2, whose first token is trained before it is packed."""
    taken: list[Rows] = []
    with packed("bfd", 8, taken.append, LeftOut()) as add:
        add(rows_of(documents_of(".TT", "TT"), whole=False))
    (rows,) = taken
    assert rows.ids.tolist() == [0, 1, 2, 3, 4]
    assert rows.trained.tolist() == [False, True, True, False, True]
    assert rows.offsets.tolist() == [0, 5]
    assert rows.documents.tolist() == [3, 2]
    assert rows.document_offsets.tolist() == [0, 2]
    assert (rows.weights, rows.turns, rows.carried) == (None, None, {})


def test_no_record_is_split() -> None:
    rows, _ = pack("bfd", 6, [documents_of("..T", ".T", "....T", "..TT")])
    assert drawn(rows) == ["....T", "..TT|.T", "..T"]
    assert [[part[0][0] for part in row] for row in rows] == [["2"], ["3", "1"], ["0"]]


def test_records_are_joined_and_cut() -> None:
    rows, left_out = pack("wrapped", 4, [documents_of("..T", ".TTTTTT", ".T")])
    # The first label of what goes on in the next row is gone too: nothing in that row predicts it.
    assert drawn(rows) == ["..T|.", ".TTT", ".T|.T"]
    assert [[part[0][0] for part in row] for row in rows] == [["0", "1"], ["1"], ["1", "2"]]
    assert left_out == LeftOut()


def test_rows_in_which_nothing_is_trained_are_not_written() -> None:
    rows, left_out = pack("wrapped", 4, [documents_of(".T......", ".T..", "T", "...T")])
    assert drawn(rows) == [".T..", ".T.."]
    assert left_out == LeftOut(rows=3, tokens=9, records=2)


def test_a_record_that_stands_in_no_written_row_is_counted() -> None:
    # Of the last record all that is trained would begin a row, where nothing predicts it.
    rows, left_out = pack("wrapped", 3, [documents_of(".TT", "...T")])
    assert drawn(rows) == [".TT"]
    assert left_out == LeftOut(rows=2, tokens=4, records=1)
    # Of this one a part is written.
    rows, left_out = pack("wrapped", 3, [documents_of(".TT", ".T....T")])
    assert drawn(rows) == [".TT", ".T."]
    assert left_out == LeftOut(rows=2, tokens=4, records=0)
    rows, left_out = pack("bfd", 3, [documents_of("T", ".T.", "T")])
    assert drawn(rows) == [".T."]
    assert left_out == LeftOut(rows=1, tokens=2, records=2)


@st.composite
def a_stream(draw: st.DrawFn) -> tuple[int, list[Document], list[list[Document]]]:
    """A length of rows, documents of at most so many tokens, and the same in batches."""
    length = draw(st.integers(1, 24))
    flags = draw(
        st.lists(st.text("T.", min_size=1, max_size=length).filter(lambda text: "T" in text), max_size=40)
    )
    documents = documents_of(*flags)
    cuts = sorted(draw(st.lists(st.integers(0, len(documents)), max_size=4)))
    bounds = [0, *cuts, len(documents)]
    return length, documents, [documents[a:b] for a, b in pairwise(bounds)]


@given(a_stream())
def test_bfd_is_the_slow_way(stream: tuple[int, list[Document], list[list[Document]]]) -> None:
    length, documents, batches = stream
    assert pack("bfd", length, batches) == expected(slow_bfd(documents, length), documents)


@given(a_stream(), st.integers(1, 60))
def test_windows_are_packed_one_by_one(
    stream: tuple[int, list[Document], list[list[Document]]], window: int
) -> None:
    """Each window takes the next documents that go into it, however they come."""
    length, documents, batches = stream
    window = max(window, length)
    rows: Packed = []
    inside: list[Document] = []
    for document in documents:
        if sum(len(one.ids) for one in [*inside, document]) > window:
            rows += slow_bfd(inside, length)
            inside = []
        inside.append(document)
    rows += slow_bfd(inside, length)
    assert pack("bfd", length, batches, window) == expected(rows, documents)


@given(a_stream(), st.integers(1, 24))
def test_wrapped_is_the_slow_way(
    stream: tuple[int, list[Document], list[list[Document]]], length: int
) -> None:
    """Rows of any length, shorter than documents too."""
    _, documents, batches = stream
    assert pack("wrapped", length, batches) == expected(slow_wrapped(documents, length), documents)


@given(a_stream())
def test_every_token_is_there_once(stream: tuple[int, list[Document], list[list[Document]]]) -> None:
    """With the tokens that are left out, in order if wrapped; no row is too long."""
    length, documents, batches = stream
    total = sum(len(document.ids) for document in documents)
    for how in ("bfd", "wrapped"):
        rows, left_out = pack(how, length, batches)
        ids = [own for row in rows for part in row for _, own, *_ in part]
        assert len(set(ids)) == len(ids) == total - left_out.tokens
        assert all(sum(map(len, row)) <= length for row in rows)
        if how == "wrapped":
            assert ids == sorted(ids)


def test_many_rows_leave_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sftcli.pack._TOKENS_AT_A_TIME", 10)
    documents = documents_of(*[".TTT"] * 9, ".TTTTTTTTTTT")
    taken: list[Rows] = []
    with packed("bfd", 12, taken.append, LeftOut()) as add:
        add(rows_of(documents))
    assert [rows.offsets.tolist() for rows in taken] == [[0, 12]] * 4
    assert listed(taken) == slow_bfd(documents, 12)


def test_a_record_longer_than_a_row_is_no_bug_of_a_loop() -> None:
    with (
        pytest.raises(ValueError, match="a row of 5 tokens cannot be packed into bins of 4"),
        packed("bfd", 4, lambda rows: None, LeftOut(), window=4) as add,
    ):
        add(rows_of(documents_of("....T", "....T")))


def test_an_error_writes_nothing_more() -> None:
    taken: list[Rows] = []

    def fail() -> None:
        with packed("bfd", 4, taken.append, LeftOut()) as add:
            add(rows_of(documents_of(".T")))
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        fail()
    assert taken == []


# A whole run


QA: dict[str, Any] = {
    "tokenizer": "demo",
    "record_format": "prompt_completion",
    "field": {"prompt": "question", "completion": "answer"},
    "template": "plain",
}


def table(out: Path) -> list[dict[str, Any]]:
    """The rows of a folder in any format, in order."""
    tables = [pq.read_table(path) for path in sorted(out.glob("*.parquet"))]
    for path in sorted(out.glob("*.arrow")):
        with pa.ipc.open_stream(str(path)) as reader:
            tables.append(reader.read_all())
    found: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return found


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("how", ["bfd", "wrapped"])
def test_a_folder_holds_every_record(tmp_path: Path, how: str, format_: str) -> None:
    problems = EXAMPLES / "gsm8k.jsonl"
    make(tmp_path / "plain", problems, **QA)
    report = make(tmp_path / "out", problems, **QA, packing=how, max_length=512, format=format_).counts
    plain, rows = table(tmp_path / "plain"), table(tmp_path / "out")
    tokens = sum(len(row["input_ids"]) for row in plain)

    assert (report.examples, report.rows, report.tokens) == (200, len(rows), tokens)
    assert report.fill == tokens / (512 * len(rows))
    lengths = [len(row["input_ids"]) for row in rows]
    assert max(lengths) <= 512
    whole = {tuple(row["input_ids"]): row["labels"] for row in plain}
    if how == "wrapped":
        assert lengths[:-1] == [512] * (len(rows) - 1)
        joined = [own for row in rows for own in row["input_ids"]]
        assert joined == [own for row in plain for own in row["input_ids"]]
    else:
        starts = [np.cumsum([0, *row["seq_lengths"]]) for row in rows]
        documents = [
            (tuple(row["input_ids"][a:b]), row["labels"][a:b])
            for row, places in zip(rows, starts, strict=True)
            for a, b in pairwise(places)
        ]
        assert sorted(documents) == sorted(whole.items())
        assert sum(length <= 256 for length in lengths) <= 1  # two of them would be one
    for row in rows:
        assert sum(row["seq_lengths"]) == len(row["input_ids"]) == len(row["labels"])
        assert row["position_ids"] == [at for length in row["seq_lengths"] for at in range(length)]
    trained = sum(label != -100 for row in rows for label in row["labels"])
    assert report.trained_tokens == trained


@pytest.mark.parametrize("how", ["bfd", "wrapped"])
def test_stats_of_raw_data_are_those_of_the_folder(tmp_path: Path, how: str) -> None:
    options = {**QA, "packing": how, "max_length": 512}
    make(tmp_path, EXAMPLES / "gsm8k.jsonl", **options)
    raw = measure_raw(Config(inputs=[str(EXAMPLES / "gsm8k.jsonl")], **options), "raw")
    assert raw.rows == measure_prepared(tmp_path).rows
    assert raw.rows.documents.total() == 200 + (61 if how == "wrapped" else 0)  # records, and cuts


def test_the_manifest_counts_records_and_rows(tmp_path: Path) -> None:
    report = make(tmp_path, EXAMPLES / "gsm8k.jsonl", **QA, packing="bfd", max_length=512)
    counts = manifest(tmp_path)["counts"]
    rows = len(table(tmp_path))
    assert (counts["lines"], counts["examples"], counts["rows"]) == (200, 200, 65)
    assert rows == 65
    assert counts["packing"] == {
        "fill": 0.960667,  # 31,971 tokens
        "untrained_rows": 0,
        "untrained_tokens": 0,
    }
    facts = facts_in(tmp_path)
    assert (facts.counts.examples, facts.counts.rows) == (200, 65)
    assert report.counts.fill == counts["tokens"] / (65 * 512)


def test_a_folder_of_before_examples_were_counted_still_opens(tmp_path: Path) -> None:
    make(tmp_path, EXAMPLES / "gsm8k.jsonl", **QA)
    path = tmp_path / "manifest.json"
    data = json.loads(path.read_bytes())
    assert data["counts"].pop("examples") == 200
    assert "packing" not in data["counts"]
    path.write_text(json.dumps(data))
    counts = facts_in(tmp_path).counts
    assert (counts.examples, counts.standing) == (None, 200)


def test_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(tmp_path / name, EXAMPLES / "gsm8k.jsonl", **QA, packing="bfd", max_length=512)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_wrapped_drops_nothing_for_its_length(tmp_path: Path) -> None:
    problems = EXAMPLES / "gsm8k.jsonl"
    wrapped = make(tmp_path / "wrapped", problems, **QA, packing="wrapped", max_length=100).counts
    assert (wrapped.examples, dict(wrapped.dropped)) == (200, {})
    best = make(tmp_path / "bfd", problems, **QA, packing="bfd", max_length=100).counts
    assert best.examples + best.dropped["too_long"] == 200
    assert best.dropped["too_long"] > 100


def test_untrained_rows_are_told(tmp_path: Path, sftcli_here: Here) -> None:
    """A prompt of several rows; what is left out is counted, and the sum of the lines holds."""
    data = write(
        tmp_path / "in.jsonl",
        {"prompt": "word " * 400, "completion": "yes"},
        {"prompt": "hi", "completion": "yes"},
    )
    ended = sftcli_here(
        *("prepare", str(data), "-t", "demo", "--template", "plain", "-o", str(tmp_path / "out")),
        *("--packing", "wrapped", "--max-length", "64"),
    )
    counts = manifest(tmp_path / "out")["counts"]
    left_out = counts["packing"]
    rows = table(tmp_path / "out")
    assert (ended.code, counts["examples"], counts["rows"]) == (0, 2, len(rows))
    assert left_out["untrained_tokens"] == 64 * left_out["untrained_rows"] > 0
    assert f"packed     2 records into {len(rows)} row" in ended.out
    assert (
        f"note       {left_out['untrained_rows']} rows of {left_out['untrained_tokens']} tokens " in ended.out
    )
    assert all(any(label != -100 for label in row["labels"]) for row in rows)


def test_records_of_one_token_train_nothing(tmp_path: Path) -> None:
    """Of a text of one token the only label is the first, which nothing predicts."""
    data = write(tmp_path / "in.jsonl", {"text": "a"}, {"text": "b"})
    tokens: dict[str, Any] = {"tokenizer": "demo", "record_format": "text", "train_on_eos": "none"}
    with pytest.raises(DataError, match="no row to write: 2 lines read, 2 T002 no_trained_tokens"):
        make(tmp_path / "out", data, **tokens, packing="bfd", max_length=8)
    # Beside one that trains something they are only read.
    data = write(tmp_path / "in.jsonl", {"text": "a"}, {"text": "b"}, {"text": "a whole sentence"})
    counts = make(tmp_path / "out", data, **tokens, packing="bfd", max_length=16).counts
    assert (counts.examples, counts.rows, counts.dropped.total()) == (3, 1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packing": "bfd"}, "--packing bfd: rows of how many tokens?"),
        ({"packing": "wrapped"}, "--packing wrapped: rows of how many tokens?"),
        (
            {"packing": "wrapped", "max_length": 9, "truncation": "right"},
            "--packing wrapped does not go with --truncation right",
        ),
        (
            {"packing": "bfd", "max_length": 9, "layout": "steps"},
            "--packing bfd does not go with --layout steps",
        ),
        (
            {"packing": "bfd", "max_length": 9, "layout": "seq2seq"},
            "--packing bfd does not go with --layout seq2seq",
        ),
    ],
)
def test_options_that_cannot_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, options)

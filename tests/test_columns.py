"""What is written of a row: its columns in four layouts, padding, and what each reader is given.

Rows are drawn as text: a letter is a token, a capital one is trained, and | stands between documents.
"""

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import EXAMPLES, TALKS, Ended, Here, chat, make, manifest, tree, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.batch import IGNORE, Rows, TokenBatch, objects
from sftcli.config import Config, load_config
from sftcli.errors import ConfigError, DataError, TokenizerError
from sftcli.layout import Layout, aim, laid, size_written
from sftcli.layout.pad import Padding
from sftcli.profiles import PROFILES
from sftcli.write import open_shard

_ = IGNORE

PER_TOKEN = ("input_ids", "attention_mask", "labels", "loss_mask", "loss_weights", "turn_ids")
PER_ROW = ("length", "source", "id")
PACKED = ("position_ids", "seq_lengths", "seq_start_id")


def drawn(*rows: str) -> Rows:
    """Rows as they are drawn; a is 1, b is 2, ... Each trained token has weight 1/2 and message 2."""
    documents = [document for row in rows for document in row.split("|")]
    text = "".join(documents)
    trained = np.array([letter.isupper() for letter in text], np.bool_)
    return Rows(
        np.array([ord(letter.lower()) - ord("a") + 1 for letter in text], np.int32),
        trained,
        np.cumsum([0, *(len(row.replace("|", "")) for row in rows)]),
        documents=np.array([len(document) for document in documents], np.int64),
        document_offsets=np.cumsum([0, *(row.count("|") + 1 for row in rows)]),
        weights=np.where(trained, 0.5, 0).astype(np.float32),
        turns=np.where(trained, 2, -1).astype(np.int32),
        carried={
            "source": objects([f"in:{number}" for number in range(len(documents))]),
            "keep:id": objects(list(range(len(documents)))),
        },
    )


def written(layout: Layout, rows: Rows) -> list[dict[str, Any]]:
    """The rows in a layout, read back; every column is sound and free of nulls."""
    found = []
    for batch in layout.batches(rows):
        batch.validate(full=True)
        assert all(column.null_count == 0 for column in batch.columns)
        found += batch.to_pylist()
    return found


def columns(kind: str, *names: str, **more: Any) -> Layout:
    return Layout(names or PER_TOKEN[:3], kind, kept=("id",) * ("id" in names), types={"id": "int64"}, **more)


# The four layouts


def test_four_layouts_of_one_row() -> None:
    """FORMATS: a b c d, of which c d are trained."""
    a, b, c, d = range(1, 5)
    found = {kind: written(columns(kind), drawn("abCD")) for kind in laid.LAYOUTS}
    ones = [1, 1, 1, 1]
    assert found == {
        "causal": [{"input_ids": [a, b, c, d], "attention_mask": ones, "labels": [_, _, c, d]}],
        "shifted": [{"input_ids": [a, b, c, d], "attention_mask": ones, "labels": [_, c, d, _]}],
        "seq2seq": [{"input_ids": [a, b], "attention_mask": [1, 1], "labels": [c, d]}],
        "steps": [
            {"input_ids": [a, b], "attention_mask": [1, 1], "labels": [c]},
            {"input_ids": [a, b, c], "attention_mask": [1, 1, 1], "labels": [d]},
        ],
    }


def test_every_column_in_every_layout() -> None:
    names = (*PER_TOKEN[3:], *PER_ROW)
    found = {kind: written(columns(kind, "input_ids", *names), drawn("abC", "dE")) for kind in laid.LAYOUTS}
    of_row = [{"source": "in:0", "id": 0}, {"source": "in:1", "id": 1}]
    assert [
        [{name: row[name] for name in ("loss_mask", "loss_weights", "turn_ids", "length")} for row in rows]
        for rows in found.values()
    ] == [
        [  # causal
            {"loss_mask": [0, 0, 1], "loss_weights": [0, 0, 0.5], "turn_ids": [-1, -1, 2], "length": 3},
            {"loss_mask": [0, 1], "loss_weights": [0, 0.5], "turn_ids": [-1, 2], "length": 2},
        ],
        [  # shifted
            {"loss_mask": [0, 1, 0], "loss_weights": [0, 0.5, 0], "turn_ids": [-1, -1, 2], "length": 3},
            {"loss_mask": [1, 0], "loss_weights": [0.5, 0], "turn_ids": [-1, 2], "length": 2},
        ],
        *[  # seq2seq, and steps: the same, since each row has one trained token
            [
                {"loss_mask": [1], "loss_weights": [0.5], "turn_ids": [-1, -1], "length": 2},
                {"loss_mask": [1], "loss_weights": [0.5], "turn_ids": [-1], "length": 1},
            ]
        ]
        * 2,
    ]
    for rows in found.values():
        assert [{"source": row["source"], "id": row["id"]} for row in rows] == of_row


def test_the_types_of_all_columns() -> None:
    unpacked = columns("causal", *PER_TOKEN, *PER_ROW)
    packed = columns("causal", *PER_TOKEN, *PER_ROW, *PACKED, packed=True)
    numbers = {
        "input_ids": pa.list_(pa.int32()),
        "attention_mask": pa.list_(pa.int8()),
        "labels": pa.list_(pa.int32()),
        "loss_mask": pa.list_(pa.int8()),
        "loss_weights": pa.list_(pa.float32()),
        "turn_ids": pa.list_(pa.int32()),
        "length": pa.int32(),
    }
    assert unpacked.schema == pa.schema({**numbers, "source": pa.string(), "id": pa.int64()})
    assert packed.schema == pa.schema(
        {
            **numbers,
            "source": pa.list_(pa.string()),
            "id": pa.list_(pa.int64()),
            **{name: pa.list_(pa.int32()) for name in PACKED},
        }
    )


def test_labels_of_64_bits() -> None:
    layout = Layout(types={"labels": "int64"})
    assert layout.schema.field("labels").type == pa.list_(pa.int64())
    assert written(layout, drawn("aB"))[0]["labels"] == [_, 2]


# Packed rows


def test_two_documents_in_a_row() -> None:
    """MASKS 19: A has 3 tokens, B has 2; the first of each is untrained when rows are packed."""
    rows = drawn("aBC|dE")
    names = ("input_ids", "labels", "position_ids", "seq_lengths", "seq_start_id", "source", "id")
    of_row = {"source": ["in:0", "in:1"], "id": [0, 1]}
    of_row |= {"position_ids": [0, 1, 2, 0, 1], "seq_lengths": [3, 2], "seq_start_id": [0, 3]}
    assert written(columns("causal", *names, packed=True), rows) == [
        {"input_ids": [1, 2, 3, 4, 5], "labels": [_, 2, 3, _, 5], **of_row}
    ]
    assert written(columns("shifted", *names, packed=True), rows) == [
        {"input_ids": [1, 2, 3, 4, 5], "labels": [2, 3, _, 5, _], **of_row}
    ]


# Padding


@pytest.mark.parametrize(
    ("side", "first", "second"),
    [
        (
            "right",
            {"input_ids": [1, 2, 3, 0], "labels": [_, 2, 3, _], "attention_mask": [1, 1, 1, 0]},
            {"input_ids": [4, 5, 0, 0], "labels": [_, 5, _, _], "attention_mask": [1, 1, 0, 0]},
        ),
        (
            "left",
            {"input_ids": [0, 1, 2, 3], "labels": [_, _, 2, 3], "attention_mask": [0, 1, 1, 1]},
            {"input_ids": [0, 0, 4, 5], "labels": [_, _, _, 5], "attention_mask": [0, 0, 1, 1]},
        ),
    ],
)
def test_padding_on_either_side(side: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    rows = drawn("aBC", "dE")
    assert written(columns("causal", padding=Padding(0, side, length=4)), rows) == [first, second]


def test_what_padding_is_in_every_column() -> None:
    """A row of two documents and one of a single one, padded to a multiple of 4."""
    layout = columns(
        "shifted", *PER_TOKEN, *PER_ROW, *PACKED[:2], packed=True, padding=Padding(0, multiple=4)
    )
    assert written(layout, drawn("abC|dE", "fGHI")) == [
        {
            "input_ids": [1, 2, 3, 4, 5, 0, 0, 0],
            "attention_mask": [1, 1, 1, 1, 1, 0, 0, 0],
            "labels": [_, 3, _, 5, _, _, _, _],
            "loss_mask": [0, 1, 0, 1, 0, 0, 0, 0],
            "loss_weights": [0, 0.5, 0, 0.5, 0, 0, 0, 0],
            "turn_ids": [-1, -1, 2, -1, 2, -1, -1, -1],
            "length": 5,
            "source": ["in:0", "in:1"],
            "id": [0, 1],
            "position_ids": [0, 1, 2, 0, 1, 0, 1, 2],
            "seq_lengths": [3, 2],
        },
        {
            "input_ids": [6, 7, 8, 9],
            "attention_mask": [1, 1, 1, 1],
            "labels": [7, 8, 9, _],
            "loss_mask": [1, 1, 1, 0],
            "loss_weights": [0.5, 0.5, 0.5, 0],
            "turn_ids": [-1, 2, 2, 2],
            "length": 4,
            "source": ["in:2"],
            "id": [2],
            "position_ids": [0, 1, 2, 3],
            "seq_lengths": [4],
        },
    ]


def test_a_pad_token_that_ends_answers_costs_no_label() -> None:
    """MASKS 2: the token c is trained at the row's end, and fills the row up too."""
    layout = columns("causal", padding=Padding(3, length=5))
    assert written(layout, drawn("aBC")) == [
        {"input_ids": [1, 2, 3, 3, 3], "attention_mask": [1, 1, 1, 0, 0], "labels": [_, 2, 3, _, _]}
    ]


# Any rows, beside the slow and obvious way

a_document = st.text("abcABC", min_size=1, max_size=9)
packed_rows = st.lists(
    st.lists(a_document.map(lambda text: text[0].lower() + text[1:]), min_size=1, max_size=4).map("|".join),
    max_size=6,
)
plain_rows = st.lists(a_document.map(lambda text: text[0].lower() + text[1:] + "Z"), max_size=6)
paddings = st.builds(
    Padding,
    token=st.just(0),
    side=st.sampled_from(["left", "right"]),
    length=st.none() | st.integers(1, 40),
    multiple=st.integers(1, 9),
)


@given(packed_rows)
def test_shifted_labels_are_the_causal_ones_moved_by_one(rows: list[str]) -> None:
    causal, shifted = (
        written(columns(kind, "input_ids", "labels", "seq_lengths", packed=True), drawn(*rows))
        for kind in ("causal", "shifted")
    )
    for aligned, moved in zip(causal, shifted, strict=True):
        assert moved["labels"] == [*aligned["labels"][1:], _]  # a document's first label is none
        assert moved["input_ids"] == aligned["input_ids"]


@given(packed_rows, paddings, st.sampled_from(["causal", "shifted"]))
def test_padded_rows_are_the_rows_filled_up(rows: list[str], padding: Padding, kind: str) -> None:
    names = (*PER_TOKEN, *PER_ROW, "position_ids", "seq_lengths")
    bare = written(columns(kind, *names, packed=True), drawn(*rows))
    full = written(columns(kind, *names, packed=True, padding=padding), drawn(*rows))
    fill = {"labels": _, "turn_ids": -1}
    for short, long in zip(bare, full, strict=True):
        length = len(short["input_ids"])
        wanted = (
            padding.length
            if padding.length is not None
            else -(-length // padding.multiple) * padding.multiple
        )
        missing = max(wanted - length, 0)
        pads: dict[str, Sequence[int]] = {name: [fill.get(name, 0)] * missing for name in PER_TOKEN}
        pads["position_ids"] = range(missing)
        for name, values in short.items():
            pad = list(pads.get(name, ())) if name in (*PER_TOKEN, "position_ids") else None
            if pad is None:
                assert long[name] == values
            else:
                assert long[name] == (pad + values if padding.side == "left" else values + pad)


@given(plain_rows)
def test_steps_are_every_trained_token_after_all_before_it(rows: list[str]) -> None:
    names = ("input_ids", "attention_mask", "labels", "loss_weights", "turn_ids", "source", "id")
    found = written(columns("steps", *names), drawn(*rows))
    (causal,) = [written(columns("causal", *names), drawn(*rows))]
    assert found == [
        {
            "input_ids": row["input_ids"][:place],
            "attention_mask": [1] * place,
            "labels": [label],
            "loss_weights": [0.5],
            "turn_ids": row["turn_ids"][:place],
            "source": row["source"],
            "id": row["id"],
        }
        for row in causal
        for place, label in enumerate(row["labels"])
        if label != _
    ]
    tokens = sum(len(row["input_ids"]) + len(row["labels"]) for row in found)
    assert size_written(drawn(*rows), "steps") == (len(found), tokens)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 20))
def test_stretches_hold_what_fits_or_one_row(sizes: list[int], most: int) -> None:
    found = list(laid.stretches(np.array(sizes, np.int64), most))
    assert [place for first, stop in found for place in range(first, stop)] == list(range(len(sizes)))
    for first, stop in found:
        assert sum(sizes[first:stop]) <= most or stop == first + 1
        assert stop == len(sizes) or sum(sizes[first : stop + 1]) > most


def test_rows_that_become_many_tokens_are_written_in_parts() -> None:
    """Each part has at most so many tokens, whatever the number of rows."""
    many = drawn(*["a" + "B" * 2_000] * 3)
    parts = [len(part.read.ids) for part in columns("steps").laid(many)]
    assert sum(parts) == size_written(many, "steps")[1] - 6_000 == 3 * 2_000 * 2_001 // 2
    assert max(parts) <= 1 << 20
    assert len(parts) == 6
    short = drawn(*["aB"] * 10)
    padded = [
        len(part.read.ids) for part in columns("causal", padding=Padding(0, length=1 << 20)).laid(short)
    ]
    assert padded == [4 << 20, 4 << 20, 2 << 20]


def test_a_batch_that_becomes_many_rows_waits_in_memory_for_no_more_than_a_row_group(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    many = drawn(*["a" + "B" * 2_000] * 3)
    with open_shard(tmp_path / "x.parquet", columns("steps"), "parquet", "none") as put:
        put(many)
    file = pq.ParquetFile(tmp_path / "x.parquet")
    groups = [file.read_row_group(group)["input_ids"] for group in range(file.num_row_groups)]
    sizes = [len(group.combine_chunks().values) for group in groups]
    assert sum(sizes) == 3 * 2_000 * 2_001 // 2
    assert len(sizes) == 3
    assert max(sizes) < 2 << 20


# What can be an answer


def batch_of(*rows: str) -> TokenBatch:
    found = drawn(*rows)
    return TokenBatch(
        found.ids,
        found.trained,
        found.offsets,
        piece=np.arange(len(found.ids), dtype=np.int32),
        outlines=objects([None] * len(rows)),
        line=np.arange(len(rows)) + 10,
        across=np.argwhere(found.ids == 3) * (1, 0) + (0, 7),  # c and d, as if they were so
        straddling=np.flatnonzero(found.ids == 4),
    )


def text_of(batch: TokenBatch) -> list[str]:
    letters = [
        chr(ord("A" if trained else "a") + token - 1)
        for token, trained in zip(batch.ids.tolist(), batch.trained.tolist(), strict=True)
    ]
    return ["".join(letters[a:b]) for a, b in itertools.pairwise(batch.offsets.tolist())]


def aimed(config: Config, *rows: str) -> tuple[list[str], dict[str, list[int]], dict[str, int]]:
    before = batch_of(*rows)
    batch, dropped, notes = aim(before, config)
    assert (batch.ids[batch.across[:, 0]] == 3).all()
    assert (batch.across[:, 1] == 7).all()
    assert (batch.ids[batch.straddling] == 4).all()
    assert batch.straddles[:, 1].sum() == (batch.trained & (batch.ids == 4)).sum()
    assert len(batch.across) == (batch.ids == 3).sum()
    return text_of(batch), {reason: lines.tolist() for reason, lines in dropped.items()}, dict(notes)


def test_seq2seq_learns_the_last_answer() -> None:
    rows = ("abCD", "aBcDEf", "AB", "ABcD", "AbCd")
    assert aimed(Config(layout="seq2seq"), *rows) == (
        ["abCD", "abcDE", "abcD", "abC"],
        {"nothing_to_read": [12]},
        {"seq2seq_earlier_answers": 3},
    )


@given(st.lists(st.text("abAB", min_size=1, max_size=8).filter(lambda text: not text.islower()), max_size=6))
def test_seq2seq_beside_the_slow_way(rows: list[str]) -> None:
    kept, dropped, earlier = [], [], 0
    for number, row in enumerate(rows):
        text = row.rstrip("ab")
        answer = text[len(text.rstrip("AB")) :]
        before = text[: -len(answer)]
        if not before:
            dropped.append(10 + number)
            continue
        earlier += not before.islower()
        kept.append(before.lower() + answer)
    found = aimed(Config(layout="seq2seq"), *rows)
    assert found[0] == kept
    assert found[1] == ({"nothing_to_read": dropped} if dropped else {})
    assert found[2] == ({"seq2seq_earlier_answers": earlier} if earlier else {})


@pytest.mark.parametrize(
    "options", [{"layout": "shifted"}, {"layout": "steps"}, {"profile": "megatron"}, {"profile": "olmo"}]
)
def test_a_first_token_is_no_answer_where_it_would_be_predicted_from_another_row(options: Any) -> None:
    assert aimed(Config(**options), "ABc", "aB", "A") == (
        ["aBc", "aB"],
        {"no_trained_tokens": [12]},
        {"nothing_before_answer": 2},
    )


@pytest.mark.parametrize("options", [{}, *({"profile": name} for name in ("trl", "axolotl", "skyrl"))])
def test_other_layouts_take_rows_as_they_are(options: Any) -> None:
    assert aimed(Config(**options), "ABc", "A") == (["ABc", "A"], {}, {})


# Whole runs


def rows_in(out: Path) -> list[dict[str, Any]]:
    from sftcli.manifest import read_manifest

    found = []
    for shard in read_manifest(out)["shards"]:
        path = out / shard["file"]
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            found += pq.read_table(path).to_pylist()
        else:
            with pa.OSFile(str(path)) as file:
                found += pa.ipc.open_stream(file).read_all().to_pylist()
    return found


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("talks") / "in.jsonl", *TALKS)


def plain(tmp_path: Path, talks: Path, **options: Any) -> list[dict[str, Any]]:
    make(tmp_path / "plain", talks, template="chatml", **options)
    return rows_in(tmp_path / "plain")


def test_a_run_in_each_layout(tmp_path: Path, talks: Path) -> None:
    causal = plain(tmp_path, talks)
    answers = [[label for label in row["labels"] if label != _] for row in causal]
    counts = {}
    for kind in ("shifted", "seq2seq", "steps"):
        out = tmp_path / kind
        make(out, talks, template="chatml", layout=kind)
        rows = rows_in(out)
        counts[kind] = manifest(out)["counts"]
        assert counts[kind]["rows"] == len(rows) == manifest(out)["shards"][0]["rows"]
        assert counts[kind]["trained_tokens"] == sum(label != _ for row in rows for label in row["labels"])
        assert counts[kind]["examples"] == 3
        if kind == "shifted":
            assert [row["input_ids"] for row in rows] == [row["input_ids"] for row in causal]
            assert [row["labels"] for row in rows] == [[*row["labels"][1:], _] for row in causal]
        elif kind == "seq2seq":
            for row, whole, answer in zip(rows, causal, answers, strict=True):
                start = whole["input_ids"].index(row["labels"][0], len(row["input_ids"]))
                assert start == len(row["input_ids"])
                assert row["input_ids"] == whole["input_ids"][:start]
                assert row["labels"] == answer[-len(row["labels"]) :]
        else:
            assert [row["labels"][0] for row in rows] == [label for answer in answers for label in answer]
            tokens = sum(len(row["input_ids"]) + 1 for row in rows)
            assert counts[kind]["tokens"] == manifest(out)["shards"][0]["tokens"] == tokens
    assert counts["seq2seq"]["notes"] == {"seq2seq_earlier_answers": 1}


def test_steps_are_told_before_they_are_written(
    tmp_path: Path, talks: Path, sftcli_here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("prepare", str(talks), "-t", "demo", "--template", "chatml", "--layout", "steps")
    ended = sftcli_here(*common, "-o", "out", "--no-progress")
    counts = manifest(Path("out"))["counts"]
    told = f"steps: {counts['rows']:,} rows of {counts['tokens']:,} tokens in all will be written\n"
    assert ended.code == 0
    assert ended.err == told
    assert sftcli_here(*common, "-o", "quiet", "--quiet") == Ended(0, "", "")


def test_a_row_without_a_prompt_is_dropped_from_seq2seq(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"text": "all of it"})
    with pytest.raises(DataError, match="no row to write: 1 lines read, 1 T010 nothing_to_read"):
        make(tmp_path / "out", source, layout="seq2seq")


def test_padding_to_a_length_and_to_a_multiple(tmp_path: Path, talks: Path) -> None:
    bare = plain(tmp_path, talks)
    longest = max(len(row["input_ids"]) for row in bare)
    for side, token, pad in (
        ("left", None, 4093),
        ("right", "<|im_end|>", 4095),
    ):  # also that of answers' ends
        to_length, to_multiple = tmp_path / f"length {side}", tmp_path / f"multiple {side}"
        make(
            to_length,
            talks,
            template="chatml",
            pad="max-length",
            max_length=longest + 3,
            padding_side=side,
            pad_token=token,
        )
        make(
            to_multiple,
            talks,
            template="chatml",
            pad="multiple-of:16",
            padding_side=side,
            format="arrow",
            pad_token=token,
        )
        for out, wanted in ((to_length, lambda n: longest + 3), (to_multiple, lambda n: -(-n // 16) * 16)):
            for short, long in zip(bare, rows_in(out), strict=True):
                missing = wanted(len(short["input_ids"])) - len(short["input_ids"])
                for name, fill in (("input_ids", pad), ("attention_mask", 0), ("labels", _)):
                    own, filling = short[name], [fill] * missing
                    assert long[name] == (filling + own if side == "left" else own + filling)
            counts = manifest(out)["counts"]  # padding is no token
            assert counts["tokens"] == sum(len(row["input_ids"]) for row in bare)


def test_optional_columns_of_a_run(tmp_path: Path, talks: Path) -> None:
    names = ["length", "source", "turn_ids", "loss_mask"]
    make(tmp_path / "out", talks, template="chatml", columns=names, labels_dtype="int64")
    for number, row in enumerate(rows_in(tmp_path / "out")):
        assert list(row) == [
            "input_ids",
            "attention_mask",
            "labels",
            "loss_mask",
            "turn_ids",
            "length",
            "source",
        ]
        assert row["length"] == len(row["input_ids"])
        assert row["source"] == f"{talks}:{number + 1}"
        assert row["loss_mask"] == [int(label != _) for label in row["labels"]]
        turns = [turn for turn, label in zip(row["turn_ids"], row["labels"], strict=True) if label != _]
        assert set(turns) == ({1, 3} if number == 1 else {1})


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_datasets_reads_every_column(tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    records = [{**chat("Hi", "Hello"), "id": f"q{number}", "score": number / 2} for number in range(5)]
    options: dict[str, Any] = {"columns": ["length", "source", "turn_ids", "loss_mask"]}
    options |= {"keep": ["id", "score"], "loss_weight": {"assistant": 1.0}, "labels_dtype": "int64"}
    options |= {"packing": "bfd", "max_length": 40, "pad": "multiple-of:8", "format": format_}
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *records), template="chatml", **options)
    if format_ == "arrow":
        found = datasets.load_from_disk(str(tmp_path / "out"))
    else:
        found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    features = {
        name: str(getattr(feature, "feature", feature).dtype) for name, feature in found.features.items()
    }
    assert features == {
        **{"input_ids": "int32", "attention_mask": "int8", "labels": "int64", "position_ids": "int32"},
        **{"seq_lengths": "int32", "loss_weights": "float32", "loss_mask": "int8", "turn_ids": "int32"},
        **{"length": "int32", "source": "string", "id": "string", "score": "float64"},
    }
    assert sorted(name for row in found for name in row["id"]) == [f"q{number}" for number in range(5)]
    assert [sum(row["seq_lengths"]) for row in found] == found["length"]


# Profiles

PROFILE_TYPES = {
    "trl": {"input_ids": "list<int32>", "labels": "list<int32>"},
    "axolotl": {"input_ids": "list<int32>", "attention_mask": "list<int8>", "labels": "list<int32>"},
    "llama-factory": {"input_ids": "list<int32>", "attention_mask": "list<int8>", "labels": "list<int32>"},
    "megatron": {"input_ids": "list<int32>", "loss_mask": "list<uint8>", "seq_start_id": "list<int32>"},
    "skyrl": {"input_ids": "list<int32>", "loss_mask": "list<int8>"},
}


def types_in(out: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    path = out / manifest(out)["shards"][0]["file"]
    if path.suffix == ".parquet":
        schema = pq.read_schema(path)
    else:
        with pa.OSFile(str(path)) as file:
            schema = pa.ipc.open_stream(file).schema
    return {field.name: f"list<{field.type.value_type}>" for field in schema}


@pytest.mark.parametrize("name", PROFILE_TYPES)
def test_columns_and_files_of_a_profile(tmp_path: Path, talks: Path, name: str) -> None:
    import datasets

    bare = plain(tmp_path, talks)
    out = tmp_path / "out"
    report = make(out, talks, template="chatml", profile=name)
    assert types_in(out) == PROFILE_TYPES[name]
    assert report.format == PROFILES[name].formats[0]
    if report.format == "arrow":
        found = list(datasets.load_from_disk(str(out)))
    else:
        found = list(datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"])
    trained = [[int(label != _) for label in row["labels"]] for row in bare]
    own: dict[str, Any] = {
        "input_ids": [row["input_ids"] for row in bare],
        "labels": [row["labels"] for row in bare],
        "attention_mask": [row["attention_mask"] for row in bare],
        "seq_start_id": [[0]] * len(bare),
        "loss_mask": [[*mask[1:], 0] for mask in trained] if name == "megatron" else trained,
    }
    for column in PROFILE_TYPES[name]:
        assert [row[column] for row in found] == own[column]
    assert report.advice == (f"{name}: {PROFILES[name].advice}",)
    assert f"\n- {name}: {PROFILES[name].advice}\n" in (out / "README.md").read_text()


@pytest.mark.parametrize("name", ["trl", "megatron"])
def test_packed_rows_of_a_profile(tmp_path: Path, talks: Path, name: str) -> None:
    report = make(tmp_path / "out", talks, template="chatml", profile=name, packing="bfd", max_length=200)
    (row,) = rows_in(tmp_path / "out")
    assert list(row) == list(PROFILES[name].packed_columns)
    bare = plain(tmp_path, talks)
    # Best fit takes the longest record first.
    order = sorted(range(3), key=lambda number: -len(bare[number]["input_ids"]))
    lengths = [len(bare[number]["input_ids"]) for number in order]
    assert row["input_ids"] == [token for number in order for token in bare[number]["input_ids"]]
    if name == "trl":
        assert row["labels"] == [label for number in order for label in bare[number]["labels"]]
        assert row["seq_lengths"] == lengths
        assert report.advice == (f"trl: {PROFILES['trl'].packed_advice}",)
    else:
        moved = [[*bare[number]["labels"][1:], _] for number in order]
        assert row["loss_mask"] == [int(label != _) for labels in moved for label in labels]
        assert row["seq_start_id"] == [0, lengths[0], lengths[0] + lengths[1]]


@pytest.mark.parametrize("packing", ["none", "bfd"])
def test_a_reader_that_drops_columns_may_be_given_more(tmp_path: Path, packing: str) -> None:
    talks = write(tmp_path / "in.jsonl", {**chat("Hi", "Hello"), "id": "a"}, {**chat("2+2=", "4"), "id": "b"})
    options: dict[str, Any] = {"template": "chatml", "profile": "trl", "packing": packing, "max_length": 99}
    make(tmp_path / "bare", talks, **options)
    make(tmp_path / "out", talks, **options, keep=["id"], columns=["source", "length"])
    more = rows_in(tmp_path / "out")
    own = {"none": ["input_ids", "labels"], "bfd": ["input_ids", "labels", "seq_lengths"]}[packing]
    assert list(more[0]) == [*own, "length", "source", "id"]
    assert [{name: row[name] for name in own} for row in more] == rows_in(tmp_path / "bare")
    places = [f"{talks}:1", f"{talks}:2"]
    if packing == "none":
        assert [(row["id"], row["source"]) for row in more] == list(zip("ab", places, strict=True))
    else:
        (row,) = more
        assert dict(zip(row["id"], row["source"], strict=True)) == dict(zip("ab", places, strict=True))


def test_files_of_olmo(tmp_path: Path, talks: Path) -> None:
    bare = plain(tmp_path, talks)
    out = tmp_path / "out"
    report = make(out, talks, template="chatml", profile="olmo")
    names = ["labels_mask_part_0000.npy", "token_ids_part_0000.csv.gz", "token_ids_part_0000.npy"]
    assert sorted(set(tree(out)) - {"README.md", "manifest.json"} - tree_of_tokenizer(out)) == names
    assert set(names) <= set(manifest(out)["files"])
    assert report.bytes_written == sum(manifest(out)["files"][name]["bytes"] for name in names)
    ids = np.fromfile(out / "token_ids_part_0000.npy", np.uint16)  # 4,096 ids
    mask = np.fromfile(out / "labels_mask_part_0000.npy", np.bool_)
    bounds = [
        tuple(map(int, line.split(",")))
        for line in gzip.decompress((out / names[1]).read_bytes()).decode().splitlines()
    ]
    assert [ids[start:end].tolist() for start, end in bounds] == [row["input_ids"] for row in bare]
    assert [mask[start:end].tolist() for start, end in bounds] == [
        [label != _ for label in row["labels"]] for row in bare
    ]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(ids) == len(mask)
    make(tmp_path / "again", talks, template="chatml", profile="olmo")
    assert tree(out) == tree(tmp_path / "again")


def tree_of_tokenizer(out: Path) -> set[str]:
    return {name for name in tree(out) if name.startswith("tokenizer/")}


def test_ids_of_olmo_are_the_smallest_type_that_holds_the_vocabulary() -> None:
    from sftcli.layout import layout_of

    config = load_config(None, {"profile": "olmo"})
    found = {
        size: str(layout_of(config, kept={}, vocabulary=size).schema.field("input_ids").type.value_type)
        for size in (256, 257, 65_536, 65_537)
    }
    assert found == {256: "uint8", 257: "uint16", 65_536: "uint16", 65_537: "uint32"}


def test_olmo_writes_both_splits_apart(tmp_path: Path) -> None:
    gsm8k = EXAMPLES / "gsm8k.jsonl"
    out = tmp_path / "out"
    options = {"record_format": "fields", "template": "chatml"}
    records = [chat(json.loads(line)["question"], "x") for line in gsm8k.read_text().splitlines()]
    make(
        out,
        write(tmp_path / "in.jsonl", *records),
        profile="olmo",
        val_size="20%",
        template=options["template"],
    )
    sides = {shard["split"]: shard["file"] for shard in manifest(out)["shards"]}
    assert sides == {side: f"{side}/token_ids_part_0000.npy" for side in ("train", "validation")}
    for file in sides.values():
        assert (out / file).with_suffix(".csv.gz").exists()


# What contradicts

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "pad of another form": (
        {"pad": "longest"},
        "pad: 'longest' is none of none, max-length and multiple-of:N, where N is 1 or more, such as "
        "multiple-of:64",
    ),
    "multiple of nothing": (
        {"pad": "multiple-of:0"},
        "pad: 'multiple-of:0' is none of none, max-length and multiple-of:N, where N is 1 or more, such as "
        "multiple-of:64",
    ),
    "to no length": ({"pad": "max-length"}, "--pad max-length: to how many tokens? Pass --max-length N"),
    "side without padding": (
        {"padding_side": "left"},
        "--padding-side left: nothing is padded; add --pad max-length or --pad multiple-of:N",
    ),
    "padded steps": (
        {"pad": "multiple-of:8", "layout": "steps"},
        "--pad multiple-of:8 does not go with --layout steps: what is read and what is answered are of other "
        "lengths, which its data collator pads; leave --pad out",
    ),
    "column twice": ({"columns": ["length", "length"]}, "columns: length: given twice"),
    "npy alone": ({"format": "npy"}, "format: npy is written for OLMo-core alone: pass --profile olmo"),
    "profile and format": (
        {"profile": "llama-factory", "format": "parquet"},
        "--format parquet does not go with --profile llama-factory, which is arrow; leave --format out",
    ),
    "profile and layout": (
        {"profile": "trl", "layout": "shifted"},
        "--layout shifted does not go with --profile trl, whose columns are input_ids, labels and no others; "
        "leave one of the two out",
    ),
    "profile and columns": (
        {"profile": "skyrl", "columns": ["length", "source"]},
        "--columns length,source does not go with --profile skyrl, whose columns are input_ids, loss_mask "
        "and no others; leave one of the two out, or prepare a second folder with it and without the "
        "profile: its rows stand in the same order",
    ),
    "profile and fields": (
        {"profile": "axolotl", "keep": ["id"]},
        "--keep id does not go with --profile axolotl, whose columns are input_ids, attention_mask, labels "
        "and no others; leave one of the two out, or prepare a second folder with it and without the "
        "profile: its rows stand in the same order",
    ),
    "weights for a reader that drops them": (
        {"profile": "trl", "loss_weight": {"user": 0.1}, "keep": ["id"]},
        "--loss-weight does not go with --profile trl, whose columns are input_ids, labels and no others; "
        "leave one of the two out",
    ),
    "profile and padding": (
        {"profile": "megatron", "pad": "multiple-of:8"},
        "--pad multiple-of:8 does not go with --profile megatron, whose columns are input_ids, loss_mask, "
        "seq_start_id and no others; leave one of the two out",
    ),
    "profile and labels": (
        {"profile": "olmo", "labels_dtype": "int64"},
        "--labels-dtype int64 does not go with --profile olmo, whose columns are input_ids, loss_mask and no "
        "others; leave one of the two out",
    ),
    "profile and packing": (
        {"profile": "axolotl", "packing": "bfd", "max_length": 9},
        "--packing bfd does not go with --profile axolotl: axolotl packs by itself (sample_packing: true); "
        "leave --packing out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_contradict_one_another(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(ConfigError) as refused:
        load_config(None, options)
    assert str(refused.value) == message


def test_a_column_that_is_unknown() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"columns": ["length", "sorce"]})
    assert str(refused.value) == (
        "options: columns[1]: 'sorce' is not one of its values; did you mean 'source'?"
    )


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_brings_its_format(name: str) -> None:
    assert load_config(None, {"profile": name}).format == PROFILES[name].formats[0]
    for format_ in PROFILES[name].formats:
        assert load_config(None, {"profile": name, "format": format_}).format == format_


def test_nothing_to_pad_with(tmp_path: Path) -> None:
    make(tmp_path / "demo", write(tmp_path / "in.jsonl", {"text": "Hi"}))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokenizer.json").write_bytes((tmp_path / "demo" / "tokenizer" / "tokenizer.json").read_bytes())
    with pytest.raises(TokenizerError) as refused:
        make(tmp_path / "out", tmp_path / "in.jsonl", tokenizer=str(bare), pad="multiple-of:8")
    assert str(refused.value) == (
        f"--pad: tokenizer {str(bare)!r} has neither a pad token nor an eos token; name one with --pad-token"
    )


@pytest.mark.parametrize(("given", "wanted"), [((), "multiple-of:8"), (("--pad", "multiple-of:8"),) * 2])
def test_the_flag_for_multiples(
    tmp_path: Path, talks: Path, sftcli_here: Here, given: tuple[str, ...], wanted: str
) -> None:
    out = tmp_path / "out"
    common = ("prepare", str(talks), "-t", "demo", "-o", str(out), "--quiet", "--pad-to-multiple-of", "8")
    assert sftcli_here(*common, *given) == Ended(0, "", "")
    assert manifest(out)["config"]["pad"] == "multiple-of:8"


def test_two_flags_for_padding_that_differ(talks: Path, sftcli_here: Here) -> None:
    ended = sftcli_here("prepare", str(talks), "-o", "x", "--pad", "max-length", "--pad-to-multiple-of", "8")
    assert ended == Ended(
        2, "", "error: --pad-to-multiple-of 8: does not go with --pad max-length; leave one of them out\n"
    )

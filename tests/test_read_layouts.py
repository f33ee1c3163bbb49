"""Every folder that prepare writes is read back: verified, shown and counted, in whatever layout it is.

And what is wrong in one is found: each fault is put into a folder that was prepared, by hand.
"""

import gzip
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TALKS, Ended, Here, chat, make, manifest, write
from test_verify import found_in, reseal

from sftcli.batch import IGNORE
from sftcli.stats.prepared import measure_prepared
from sftcli.stats.raw import measure_raw
from sftcli.verify import Asked, verify
from sftcli.view.dataset import Dataset
from sftcli.view.json import row_json
from sftcli.view.page import Screen
from sftcli.view.row import RowView
from sftcli.view.views import VIEWS

RECORDS = [
    {**record, "id": f"r{number}", "score": number / 2, "ok": number % 2 == 0, "n": number}
    for number, record in enumerate(
        [*TALKS, chat("Why?", "So."), *TALKS, chat("é", "日", "x", "y", "z", "w")]
    )
]
MOST = 64
# Every column that there is, beside those of the layout.
MORE: dict[str, Any] = {
    "columns": ["length", "source", "turn_ids", "loss_mask"],
    "keep": ["id", "score", "ok", "n"],
    "loss_weight": {"user": 0.1},
}
LAYOUTS = ("causal", "shifted", "seq2seq", "steps")
PADS = (("none", "right"), ("max-length", "right"), ("multiple-of:8", "left"))
PROFILES = ("trl", "axolotl", "llama-factory", "megatron", "skyrl", "olmo")


def combinations() -> Iterator[dict[str, Any]]:
    for layout, packing, (pad, side), format_, dtype, more in itertools.product(
        LAYOUTS, ("none", "bfd", "wrapped"), PADS, ("parquet", "arrow"), ("int32", "int64"), ({}, MORE)
    ):
        if pad != "none" and layout in ("seq2seq", "steps"):
            continue
        if packing != "none" and layout in ("seq2seq", "steps"):
            continue
        yield {
            **{"layout": layout, "packing": packing, "pad": pad, "padding_side": side},
            **{"format": format_, "labels_dtype": dtype, "max_length": MOST, **more},
        }
    for profile in PROFILES:
        for packing in ("none", "bfd", "wrapped"):
            if packing == "none" or profile in ("trl", "megatron"):
                yield {"profile": profile, "packing": packing, "max_length": MOST}


def named(options: dict[str, Any]) -> str:
    shown = {**options, "columns": "columns" in options}
    return " ".join(str(shown[key]) for key in shown if key not in ("keep", "loss_weight", "max_length"))


@pytest.mark.parametrize("options", list(combinations()), ids=named)
def test_what_was_prepared_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    out = tmp_path / "out"
    source = write(tmp_path / "in.jsonl", *RECORDS)
    make(out, source, template="chatml", **options)
    counts = manifest(out)["counts"]

    assert verify([str(out)], Asked(deep=100), 10).kept == []

    dataset = Dataset(out)
    rows = [dataset.view(number) for number in range(dataset.rows)]
    assert dataset.view(0) == rows[0]
    for show in VIEWS.values():
        show(rows[-1], Screen(False, 80))
    assert [len(rows), *_sums(rows)] == [counts[name] for name in ("rows", "tokens", "trained_tokens")]
    assert all(token.label in (token.id, IGNORE) for row in rows for token in row.tokens)
    assert not any(token.trained for row in rows for token in row.tokens if token.padding)
    assert {mark for row in rows for mark in row.marks} <= {"no-terminator"}  # where `wrapped` cut
    if "keep" in options:
        _every_value_stands_where_it_belongs(rows, options, source)

    measured = measure_prepared(out)
    assert sum(length * number for length, number in measured.rows.lengths.items()) == counts["tokens"]
    assert (
        sum(length * number for length, number in measured.rows.trained.items()) == counts["trained_tokens"]
    )
    if options.get("layout") != "steps":
        assert measured.rows == _raw_counts(source, options)


def _sums(rows: list[RowView]) -> list[int]:
    return [sum(row.counts.tokens for row in rows), sum(row.counts.trained for row in rows)]


def _raw_counts(source: Path, options: dict[str, Any]) -> Any:
    from sftcli.config import load_config

    values = {"tokenizer": "demo", "inputs": [str(source)], "template": "chatml", **options}
    return measure_raw(load_config(None, values), str(source)).rows


def _every_value_stands_where_it_belongs(rows: list[RowView], options: dict[str, Any], source: Path) -> None:
    for row in rows:
        fields = dict(row.fields)
        places = row.sources if options["packing"] != "none" else (row.source,)
        kept = {name: _tuple(fields[name], options) for name in ("id", "score", "ok", "n")}
        lines = [place.line for place in places if place is not None]
        assert {place.file for place in places if place is not None} == {str(source)}
        for index, line in enumerate(lines):
            assert line is not None
            record = RECORDS[line - 1]
            assert {name: kept[name][index] for name in kept} == {name: record[name] for name in kept}
        read = row.answer if row.answer is not None else row.counts.tokens
        assert fields["length"] == read
        for token in row.tokens:
            if token.turn is not None and token.trained:  # messages of the user, and of the assistant
                assert token.weight == (1 if token.turn % 2 else 0.1)
            assert (token.weight == 0) == (not token.trained)


def _tuple(value: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    return value if options["packing"] != "none" else (value,)


# What is wrong in a folder

QUESTIONS = [{"prompt": "ab", "completion": "cd"}, {"prompt": "efg", "completion": "h i j"}]
PACKED = {"packing": "bfd", "max_length": 32}
AGAIN = "prepare the folder again"
Values = list[Any]


def put(column: str, row: int, place: int | slice, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    """One value of a row's list is another, or a stretch of them."""

    def edit(rows: list[dict[str, Any]]) -> None:
        rows[row][column][place] = value

    return edit


def change(column: str, row: int, edit: Callable[[Values], Values]) -> Callable[[list[dict[str, Any]]], None]:
    """A row's list is another."""

    def put_list(rows: list[dict[str, Any]]) -> None:
        rows[row][column] = edit(rows[row][column])

    return put_list


def rolled(values: Values) -> Values:
    return [values[-1], *values[:-1]]


# What is prepared, what is changed in it, and what is found.
FAULTS: dict[str, tuple[dict[str, Any], Callable[[list[dict[str, Any]]], None], list[tuple[str, str]]]] = {
    "shifted: a label of another token": (
        {"layout": "shifted"},
        put("labels", 1, 3, 9),
        [("V010", "row 1: token 4 follows the label 9, and has the id 493: the label should be 493 or -100")],
    ),
    "shifted: labels that are not shifted": (
        {"layout": "shifted"},
        change("labels", 0, rolled),
        [
            (
                "V010",
                "row 0: token 2 follows the label 66, and has the id 67: the label should be 67 or -100",
            ),
            ("V016", "has 10 tokens, 6 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "shifted: a label in the last place": (
        {"layout": "shifted"},
        put("labels", 1, -1, 7),
        [("V010", "row 1: its label in place 5 is of a token after its last one")],
    ),
    "seq2seq: a label that is masked": (
        {"layout": "seq2seq"},
        put("labels", 1, 0, IGNORE),
        [
            ("V010", "row 1: its label in place 0 is -100, and all of an answer is learnt"),
            ("V016", "has 10 tokens, 6 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "seq2seq: a label that is no id": (
        {"layout": "seq2seq"},
        put("labels", 1, 0, 5000),
        [("V012", "row 1: token 2 has the id 5000, and the tokenizer 4,096 ids from 0 on")],
    ),
    "seq2seq: nothing to read": (
        {"layout": "seq2seq"},
        lambda rows: rows[1].update(input_ids=[], attention_mask=[]),
        [("V009", "row 1: input_ids has no values, so that nothing is read before the answer")],
    ),
    "steps: two answers": (
        {"layout": "steps"},
        put("labels", 2, slice(0, 1), [5, 6]),
        [("V009", "row 2: labels has 2 values, and a step answers with one")],
    ),
    "causal: a weight without a label": (
        {"loss_weight": {"assistant": 1}},
        put("loss_weights", 1, 0, 0.5),
        [("V027", "row 1: its loss weight in place 0 is 0.5, and no label is there")],
    ),
    "causal: a label without a weight": (
        {"loss_weight": {"assistant": 1}},
        put("loss_weights", 1, -1, 0.0),
        [("V027", "row 1: its loss weight in place 5 is 0.0, and a label is there")],
    ),
    "causal: a weight that is no number": (
        {"loss_weight": {"assistant": 1}},
        put("loss_weights", 1, -1, float("nan")),
        [("V027", "row 1: its loss weight in place 5 is nan, and a label is there")],
    ),
    "causal: a mask of 2": (
        {"columns": ["loss_mask"]},
        put("loss_mask", 1, -1, 2),
        [("V026", "row 1: its loss_mask in place 5 is 2")],
    ),
    "causal: a mask without a label": (
        {"columns": ["loss_mask"]},
        put("loss_mask", 1, 0, 1),
        [("V026", "row 1: its loss_mask in place 0 is 1, and no label is there")],
    ),
    "shifted: a mask that is not shifted": (
        {"layout": "shifted", "columns": ["loss_mask"]},
        change("loss_mask", 1, rolled),
        [("V026", "row 1: its loss_mask in place 1 is 0, and a label is there")],
    ),
    "a turn of -2": (
        {"columns": ["turn_ids"]},
        put("turn_ids", 1, 0, -2),
        [("V028", "row 1: token 0 has the turn -2")],
    ),
    "padding that is in a turn": (
        {"columns": ["turn_ids"], "pad": "multiple-of:16"},
        put("turn_ids", 1, -1, 0),
        [("V028", "row 1: token 15 has the turn 0")],
    ),
    "padding that is answered": (
        {"pad": "multiple-of:16"},
        put("labels", 1, -1, 4093),
        [
            ("V010", "row 1: token 15 is padding, and has a label other than -100"),
            ("V016", "has 10 tokens, 8 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "a length that is wrong": (
        {"columns": ["length"]},
        lambda rows: rows[1].update(length=rows[1]["length"] + 1),
        [("V029", "row 1: its length is 7, and input_ids has 6 tokens")],
    ),
    "positions off by one": (
        PACKED,
        change("position_ids", 0, lambda own: [place + 1 for place in own]),
        [("V014", "row 0: token 0 has the position id 1")],
    ),
    "positions that run on": (
        PACKED,
        change("position_ids", 0, lambda own: list(range(len(own)))),
        [("V014", "row 0: token 6 has the position id 6")],
    ),
    "lengths of documents that are not theirs": (
        PACKED,
        change("seq_lengths", 0, lambda own: [1, *own]),
        [
            ("V014", "row 0: its seq_lengths add up to 11, and it has 10 tokens"),
            ("V016", "has 3 documents, and its manifest says 2 examples"),
        ],
    ),
    "two lengths exchanged": (
        PACKED,
        change("seq_lengths", 0, lambda own: own[::-1]),
        [("V014", "row 0: token 4 begins a later packed row, and is trained")],
    ),
    "a field too few": (
        {**PACKED, "columns": ["source"]},
        change("source", 0, lambda own: own[:1]),
        [("V009", "row 0: seq_lengths has 2 values, and source 1")],
    ),
    "trl: lengths of documents": (
        {**PACKED, "profile": "trl"},
        change("seq_lengths", 0, lambda own: [sum(own) + 1]),
        [
            ("V014", "row 0: its seq_lengths add up to 11, and it has 10 tokens"),
            ("V016", "has 1 document, and its manifest says 2 examples"),
        ],
    ),
    "megatron: a mask that is not moved": (
        {"profile": "megatron"},
        change("loss_mask", 1, rolled),
        [
            ("V026", "row 1: its loss_mask in place 5 is 1, and no token follows"),
            ("V016", "has 10 tokens, 6 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "megatron: a start too many": (
        {"profile": "megatron"},
        put("seq_start_id", 1, slice(1, 1), [3]),
        [("V014", "row 1: its seq_start_id is 0, 3, which are not the starts of its documents")],
    ),
    "megatron: a start off by one": (
        {**PACKED, "profile": "megatron"},
        change("seq_start_id", 0, lambda own: [place + 1 for place in own]),
        [("V014", "row 0: its seq_start_id is 1, 7, which are not the starts of its documents")],
    ),
    "megatron: a document whose first token is answered": (
        {**PACKED, "profile": "megatron"},
        lambda rows: put("loss_mask", 0, rows[0]["seq_start_id"][1] - 1, 1)(rows),
        [
            ("V014", "row 0: token 6 begins a later packed row, and is trained"),
            ("V016", "has 10 tokens, 8 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "skyrl: a mask of 2": (
        {"profile": "skyrl"},
        put("loss_mask", 1, 0, 2),
        [
            ("V026", "row 1: its loss_mask in place 0 is 2"),
            ("V016", "has 10 tokens, 8 of them trained, and the manifest says 10 and 7"),
        ],
    ),
}


def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    make("out", write(Path("in.jsonl"), *QUESTIONS), template="plain", **options)
    return Path("out")


def edited(out: Path, edit: Callable[[list[dict[str, Any]]], None]) -> None:
    """The folder's one shard with its rows changed, and a manifest that knows of its bytes."""
    [path] = out.glob("*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    edit(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    reseal(out)


@pytest.mark.parametrize("case", FAULTS)
def test_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    options, edit, expected = FAULTS[case]
    out = prepared(tmp_path, monkeypatch, **options)
    edited(out, edit)
    told = [(code, message.removesuffix(f"; {AGAIN}")) for _, code, message in found_in(out)]
    assert [(code, message.partition("; see ")[0]) for code, message in told] == expected


# Bare arrays


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return prepared(tmp_path, monkeypatch, profile="olmo")


IDS, MASK = "token_ids_part_0000.npy", "labels_mask_part_0000.npy"
BOUNDS = "token_ids_part_0000.csv.gz"
NO_BOUNDS = f"cannot be read: {BOUNDS} is no gzip file of lines `start,end`, one for each row"
# A file, what its bytes become, and what is found.
NPY: dict[str, tuple[str, Callable[[bytes], bytes], list[tuple[str, str]]]] = {
    "an id that is none": (
        IDS,
        lambda raw: np.array([5000], np.uint16).tobytes() + raw[2:],
        [("V012", "row 0: token 0 has the id 5000, and the tokenizer 4,096 ids from 0 on")],
    ),
    "half an id": (
        IDS,
        lambda raw: raw[:-1],
        [("V006", f"cannot be read: {IDS} has 19 bytes, and its values take 2 each")],
    ),
    "an id too few": (
        IDS,
        lambda raw: raw[:-2],
        [("V006", f"cannot be read: {IDS} has 9 values, and the rows of {BOUNDS} end at 10")],
    ),
    "a mask of 2": (MASK, lambda raw: raw[:-1] + b"\x02", [("V026", "row 1: its loss_mask in place 5 is 2")]),
    "nothing before the answer": (
        MASK,
        lambda raw: b"\x01" + raw[1:],
        [
            ("V026", "row 0: token 0 is learnt, and nothing of its row stands before it"),
            ("V016", "has 10 tokens, 8 of them trained, and the manifest says 10 and 7"),
        ],
    ),
    "a mask too long": (
        MASK,
        lambda raw: raw + b"\x00",
        [("V006", f"cannot be read: {MASK} has 11 values, and the rows of {BOUNDS} end at 10")],
    ),
    "bounds that are no gzip": (BOUNDS, lambda raw: b"0,4\n4,10\n", [("V006", NO_BOUNDS)]),
    "bounds that are no numbers": (BOUNDS, lambda raw: gzip.compress(b"a,b\n"), [("V006", NO_BOUNDS)]),
    "bounds of one number": (BOUNDS, lambda raw: gzip.compress(b"0\n4\n"), [("V006", NO_BOUNDS)]),
    "rows that overlap": (
        BOUNDS,
        lambda raw: gzip.compress(b"0,4\n3,10\n"),
        [("V006", f"cannot be read: {BOUNDS}: its rows do not each begin where the one before ends")],
    ),
    "a row that ends before it begins": (
        BOUNDS,
        lambda raw: gzip.compress(b"0,12\n12,10\n"),
        [("V006", f"cannot be read: {BOUNDS}: its rows do not each begin where the one before ends")],
    ),
    "bounds that are bombs": (
        BOUNDS,
        lambda raw: gzip.compress(b"0,4\n" * 5_000_000),
        [
            (
                "V006",
                f"cannot be read: {BOUNDS} unpacks to more than 77 bytes, which is more than bounds of rows "
                "of 10 tokens take",
            )
        ],
    ),
    "no rows": (
        BOUNDS,
        lambda raw: gzip.compress(b""),
        [("V006", f"cannot be read: {IDS} has 10 values, and the rows of {BOUNDS} end at 0")],
    ),
    "a row too many": (
        BOUNDS,
        lambda raw: gzip.compress(b"0,4\n4,6\n6,10\n"),
        [
            ("V011", "row 1: no token is trained"),
            ("V026", "row 2: token 0 is learnt, and nothing of its row stands before it"),
            ("V015", "has 3 rows, and the manifest says 2"),
            ("V016", "has 3 rows, and its manifest says 2 examples"),
        ],
    ),
}


@pytest.mark.parametrize("case", NPY)
def test_faults_of_bare_arrays(arrays: Path, case: str) -> None:
    name, edit, expected = NPY[case]
    (arrays / name).write_bytes(edit((arrays / name).read_bytes()))
    reseal(arrays)
    told = [(code, message.removesuffix(f"; {AGAIN}")) for _, code, message in found_in(arrays)]
    assert [(code, message.partition("; see ")[0]) for code, message in told] == expected


def test_a_row_of_bare_arrays_is_found_without_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before a row need not even be tokens."""
    monkeypatch.chdir(tmp_path)
    records = ({"prompt": f"a {number}", "completion": "b " * 200} for number in range(10_000))
    write(Path("in.jsonl"), *records)
    make("out", "in.jsonl", template="plain", profile="olmo")
    [ids] = Path("out").glob("token_ids_*.npy")
    plain = Dataset(Path("out"))
    before, size = plain.view(9_999), ids.stat().st_size
    with ids.open("r+b") as file:
        file.write(b"\xff" * (size - (3 << 20)))
    assert Dataset(Path("out")).view(9_999) == before
    assert "".join(token.text for token in before.tokens).startswith("a 9999")


# Contradictions


def test_columns_that_contradict_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    out = prepared(tmp_path, monkeypatch)
    reseal(out, lambda facts: facts["config"].update(profile="megatron"))
    [shard] = out.glob("*.parquet")
    named = "input_ids, attention_mask, labels"
    told = (
        f"error: {shard}: has no column 'loss_mask', which its manifest tells of (it has {named}); "
        "prepare the folder again\n"
    )
    for command in ("inspect", "stats"):
        assert sftcli_here(command, "out") == Ended(3, "", told)
    wanted = "input_ids, loss_mask, seq_start_id"
    message = f"its columns are {named}, and should be {wanted}; {AGAIN}"
    assert found_in(out) == [(shard.name, "V007", message)]


def test_a_config_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here) -> None:
    out = prepared(tmp_path, monkeypatch)
    reseal(out, lambda facts: facts["config"].update(layout="diagonal"))
    why = "its config is none of this version of sftcli: Invalid enum value 'diagonal' - at `$.layout`"
    told = f"{why}; take the version that made it"
    for command in ("inspect", "stats"):
        assert sftcli_here(command, "out") == Ended(2, "", f"error: out/manifest.json: {told}\n")
    assert found_in(out) == [("manifest.json", "V001", told)]


def test_a_folder_of_before_there_were_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest has none of the options, and counts no examples."""
    out = prepared(tmp_path, monkeypatch)
    plain = [row_json(Dataset(out).view(number)) for number in range(2)]

    def older(facts: dict[str, Any]) -> None:
        new = ("layout", "packing", "pad", "padding_side", "columns", "keep", "profile", "labels_dtype")
        for name in (*new, "loss_weight", "sources", "shuffle", "val_size", "truncation", "min_trained"):
            del facts["config"][name]
        del facts["counts"]["examples"]

    counted = measure_prepared(out).rows
    reseal(out, older)
    assert found_in(out, deep=2) == []
    assert [row_json(Dataset(out).view(number)) for number in range(2)] == plain
    assert measure_prepared(out).rows == counted


# Made again

# Faults that the columns do not show: only the record tells.
UNSEEN: dict[str, tuple[dict[str, Any], Callable[[list[dict[str, Any]]], None]]] = {
    "causal": ({}, put("labels", 1, 3, IGNORE)),
    "shifted": ({"layout": "shifted"}, put("labels", 1, 3, IGNORE)),
    "seq2seq": ({"layout": "seq2seq"}, put("labels", 1, 1, 9)),
    "steps": ({"layout": "steps"}, put("input_ids", 6, 0, 9)),
    "padded": ({"pad": "multiple-of:16", "padding_side": "left"}, put("labels", 1, 13, IGNORE)),
    "packed": (PACKED, put("labels", 0, 3, IGNORE)),
    "wrapped": ({"packing": "wrapped", "max_length": 7}, put("labels", 0, 6, IGNORE)),
    "megatron": ({**PACKED, "profile": "megatron"}, put("loss_mask", 0, 3, 0)),
    "skyrl": ({"profile": "skyrl"}, put("loss_mask", 1, 3, 0)),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_rows_that_come_out_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    options, edit = UNSEEN[case]
    out = prepared(tmp_path, monkeypatch, **options)
    assert found_in(out, deep=2) == []
    before = manifest(out)["counts"]["trained_tokens"]
    edited(out, edit)
    trained = sum(number * rows for number, rows in measure_prepared(out).rows.trained.items())

    def count(facts: dict[str, Any]) -> None:
        facts["counts"]["trained_tokens"] += trained - before
        facts["shards"][0]["trained_tokens"] += trained - before

    reseal(out, count)
    assert found_in(out) == []
    what = "is not there" if case in ("seq2seq", "steps") else "has other labels"
    assert found_in(out, deep=2) == [
        ("in.jsonl", "V023", f"the row of this record, made again, {what} in out; {AGAIN}")
    ]


# What is shown


def test_a_row_whose_answer_is_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    out = prepared(tmp_path, monkeypatch, layout="seq2seq", columns=["length", "source", "turn_ids"])
    assert sftcli_here("inspect", str(out), "--row", "1", "--view", "table").out == (
        "in.jsonl:2 · row 1\n"
        "length 2\n"
        "\n"
        "i    id  label  turn     piece\n"
        "── input_ids, 2 tokens ─────────────────────────────────────────────────────────\n"
        "0   742   -100     0   │ ef\n"
        "1   363   -100     0   │ gh\n"
        "── labels, 4 tokens ────────────────────────────────────────────────────────────\n"
        "2   220    220        T┃ ␣\n"
        "3    72     72        T┃ i\n"
        "4   493    493        T┃ ␣j\n"
        "5  4095   4095        T┃ ⟦<|im_end|>⟧\n"
        "\n"
        "6 tokens · 4 trained (66.7%, marked T) · 1 turn\n"
    )


def test_documents_behind_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here) -> None:
    options = {"pad": "multiple-of:16", "padding_side": "left", "columns": ["source"], "keep": ["prompt"]}
    out = prepared(tmp_path, monkeypatch, **PACKED, **options)
    [row] = [Dataset(out).view(0)]
    assert row.bounds == [(6, 12), (12, 16)]
    found = row_json(row)
    assert (found["documents"], found["fields"]) == ([6, 4], {"prompt": ["efg", "ab"]})
    assert found["sources"] == [{"file": "in.jsonl", "line": 2}, {"file": "in.jsonl", "line": 1}]
    page = sftcli_here("inspect", str(out), "--view", "runs").out
    assert "── before the documents, 6 tokens ─" in page
    assert "── document 1 of 2, 6 tokens, in.jsonl:2, prompt efg ─" in page


def test_a_packed_row_is_found_by_the_id_of_a_document(tmp_path: Path, sftcli_here: Here) -> None:
    out = tmp_path / "out"
    source = write(tmp_path / "in.jsonl", *RECORDS)
    make(out, source, template="chatml", packing="bfd", max_length=MOST, keep=["id"])
    [number] = [row for row in range(Dataset(out).rows) if "r4" in dict(Dataset(out).view(row).fields)["id"]]
    assert f"row {number}\n" in sftcli_here("inspect", str(out), "--id", "r4").out


def test_a_character_that_lies_across_a_step(tmp_path: Path) -> None:
    """É is two tokens: the second is learnt from the first, and each is shown as its byte."""
    source = write(tmp_path / "in.jsonl", {"prompt": "a", "completion": "É"})
    make(tmp_path / "out", source, template="plain", layout="steps")
    rows = [Dataset(tmp_path / "out").view(number) for number in range(3)]
    assert [[token.text for token in row.tokens] for row in rows] == [
        ["a", "\\xc3"],
        ["a", "\\xc3", "\\x89"],
        ["a", "É", "", "<|im_end|>"],
    ]
    assert [row.answer for row in rows] == [1, 2, 3]


def test_an_id_that_goes_along_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), {**chat("Why?", "So."), "id": "r7", "n": 3})
    make("out", "in.jsonl", template="chatml", keep=["id", "n"])
    assert sftcli_here("inspect", "out").out.splitlines()[:3] == ["in.jsonl:1 · row 0 · id r7", "n 3", ""]

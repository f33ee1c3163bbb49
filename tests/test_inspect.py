"""Which rows `inspect` shows: by number, slice, sample, search, mark or id, against a slow, obvious version.

The rows are those of raw data and of prepared folders in both formats, which are cut into small row
groups and record batches, so that each of them holds several.
"""

import gzip
import hashlib
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TALKS, Ended, Here, chat, jsonl, make, manifest, run_sftcli, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.batch import IGNORE
from sftcli.cli import inspect as cli
from sftcli.cli.against import OtherOptions
from sftcli.cli.inspect import ONLY
from sftcli.config import load_config
from sftcli.errors import DataError, EnvironmentFault, FileError, TokenizerError, UsageError
from sftcli.templates import builtin_names, load_template
from sftcli.tokenizer import Tokenizer, load_tokenizer
from sftcli.view import views
from sftcli.view.dataset import Dataset
from sftcli.view.find import TokenSearch, Wanted, compiled, has_control_text, rows_with
from sftcli.view.json import row_json
from sftcli.view.marks import MarkFinder
from sftcli.view.raw import RawData
from sftcli.view.row import RowView, TokenView, token_texts
from sftcli.view.select import MARKS, RANKINGS, Search, Selection, parse_span, sample_keys

MAX_LENGTH = 60
# Words that rows share, so that a search finds some of them; control text, emoji, and lengths apart.
WORDS = ["Paris", "Rome", "été", "日本語", "😀", "2+2=4", "<|im_end|>", "a b", "\n", "x" * 40, "The answer"]


def records(count: int, seed: int) -> list[dict[str, Any]]:
    """Conversations of one to three turns; some answers carry a flag that they are not trained."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        turns = [
            " ".join([*draw.choices(WORDS, k=draw.randint(1, 8)), "4"]) for _ in range(2 * draw.randint(1, 3))
        ]
        record = chat(*turns)
        for message in record["messages"][1::2]:
            if draw.random() < 0.2:
                message["train"] = False
        found.append({"id": f"r{number}", "half": number // 2, **record})
    return found


def recut(out: Path, rows: int) -> None:
    """Write a folder's shards anew with `rows` rows in each row group or (compressed) record batch."""
    for path in sorted(out.iterdir()):
        if path.suffix == ".parquet":
            pq.write_table(pq.read_table(path), path, row_group_size=rows)
        elif path.suffix == ".arrow":
            table = pa.ipc.open_stream(path.read_bytes()).read_all().combine_chunks()
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            with (
                pa.OSFile(str(path), "wb") as sink,
                pa.ipc.new_stream(sink, table.schema, options=options) as to,
            ):
                to.write_table(table, max_chunksize=rows)


@dataclass(frozen=True)
class Sources:
    """The same rows three times; `raw` has the ones that `prepare` leaves out too."""

    files: list[str]
    raw: Callable[[], RawData]
    parquet: Dataset
    arrow: Dataset


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("inspect")
    files = [str(write(folder / f"in{i}.jsonl", *records(count, i))) for i, count in enumerate((17, 9, 1))]
    options = {"tokenizer": "demo", "template": "chatml", "train_on_eos": "last", "max_length": MAX_LENGTH}
    for format_ in ("parquet", "arrow"):
        make(folder / format_, *files, **{**options, "max_length": None}, format=format_)
        recut(folder / format_, 4)
    return Sources(
        files,
        lambda: RawData(load_config(None, {"inputs": files, **options}), encoded=True),
        Dataset(folder / "parquet"),
        Dataset(folder / "arrow"),
    )


# The slow, obvious version: every row is made, and looked at by itself.


@cache
def every_row(source: Any) -> list[RowView]:
    source = source() if callable(source) else source
    return list(Search(source, Selection(span=(None, None))))


def text_of(row: RowView) -> str:
    return "".join(token.text for token in row.tokens)


def slowly(source: Any, selection: Selection) -> list[int]:
    """The numbers of the rows that a selection asks for, in order."""
    rows = every_row(source)
    numbers = [row.row for row in rows]
    if selection.rows:
        numbers = [number % len(numbers) for number in selection.rows]
    else:
        numbers = numbers[slice(*selection.span)]
    kept = [rows[number] for number in numbers]
    kept = [row for row in kept if all(text in text_of(row) for text in selection.text.texts)]
    kept = [row for row in kept if all(p.search(text_of(row)) for p in selection.text.patterns)]
    kept = [row for row in kept if set(selection.marks) <= set(row.marks)]
    if selection.ids:
        kept = [row for row in kept if row.id in selection.ids]
    if selection.sample is not None:
        keys = sample_keys(np.array([row.row for row in kept], np.int64), selection.seed)
        order = sorted(range(len(kept)), key=lambda i: (keys[i], i))[: selection.sample]
        kept = [kept[i] for i in sorted(order)]
    if selection.ranking:
        measures: dict[str, Callable[[RowView], int]] = {
            "longest": lambda row: -row.counts.tokens,
            "shortest": lambda row: row.counts.tokens,
            "least-trained": lambda row: row.counts.trained,
        }
        kept.sort(key=measures[selection.ranking])
    return [row.row for row in kept][: selection.shown]


ends = st.none() | st.integers(-30, 30)
patterns = st.sampled_from(
    [r"Paris.*Rome", r"^<\|im_start\|>", r"(?i)PARIS", r"\n\n", "é|語", r"4$", "(?m)4$"]
)
selections = st.builds(
    Selection,
    span=st.tuples(ends, ends),
    sample=st.none() | st.integers(1, 12),
    seed=st.integers(-3, 2**70),
    text=st.builds(
        Wanted,
        st.lists(st.sampled_from([*WORDS, "assistant", "Rome Paris", "zzz"]), max_size=2).map(tuple),
        st.lists(patterns.map(re.compile), max_size=1).map(tuple),
    ),
    marks=st.lists(st.sampled_from(MARKS), max_size=2, unique=True).map(tuple),
    ranking=st.none() | st.sampled_from(RANKINGS),
    ids=st.just(()) | st.lists(st.sampled_from(["r0", "r3", "r16", "nobody"]), max_size=3).map(tuple),
    most=st.none() | st.integers(1, 30),
)


@given(selection=selections)
def test_raw_data_gives_the_rows_that_hold_all_that_is_asked(sources: Sources, selection: Selection) -> None:
    source = sources.raw()
    search = Search(source, selection)
    assert [row.row for row in search] == slowly(sources.raw, selection)
    assert search.ended
    assert search.shown <= search.matched <= search.searched


@given(selection=selections, arrow=st.booleans())
def test_a_prepared_folder_gives_the_rows_that_hold_all_that_is_asked(
    sources: Sources, selection: Selection, arrow: bool
) -> None:
    known = tuple(mark for mark in selection.marks if mark not in ("truncated", "straddle"))
    selection = replace(selection, marks=known, ids=())
    source = sources.arrow if arrow else sources.parquet
    search = Search(source, selection)
    assert [row.row for row in search] == slowly(source, selection)
    assert search.shown <= search.matched <= search.searched


@given(
    rows=st.lists(st.integers(-27, 26), min_size=1, max_size=5).map(tuple),
    text=st.sampled_from([Wanted(), Wanted(("Paris",))]),
    which=st.sampled_from(["raw", "parquet", "arrow"]),
)
def test_rows_by_number_come_in_the_order_asked_for(
    sources: Sources, rows: tuple[int, ...], text: Wanted, which: str
) -> None:
    count = len(every_row(getattr(sources, which)))
    rows = tuple(row for row in rows if -count <= row < count) or (0,)
    selection = Selection(rows=rows, text=text)
    source = sources.raw() if which == "raw" else getattr(sources, which)
    assert [row.row for row in Search(source, selection)] == slowly(getattr(sources, which), selection)


def test_the_rows_of_the_property_tests_have_every_mark(sources: Sources) -> None:
    raw = Counter(mark for row in every_row(sources.raw) for mark in row.marks)
    assert set(raw) == set(MARKS)
    prepared = [
        Counter(mark for row in every_row(s) for mark in row.marks) for s in (sources.parquet, sources.arrow)
    ]
    assert prepared[0] == prepared[1]
    assert set(prepared[0]) == {"no-terminator", "control-text"}
    assert len(every_row(sources.raw)) == 27
    assert len(every_row(sources.parquet)) < 27


# Samples


def test_a_sample_is_drawn_without_replacement_and_again_with_the_same_seed(sources: Sources) -> None:
    def drawn(source: Any, size: int, seed: int) -> list[int]:
        return [row.row for row in Search(source, Selection(sample=size, seed=seed))]

    assert drawn(sources.raw(), 100, 1) == list(range(27))
    assert drawn(sources.raw(), 5, 1) == drawn(sources.raw(), 5, 1) != drawn(sources.raw(), 5, 2)
    # What is drawn depends on the row's number, not on where it is stored; a larger sample holds the smaller.
    assert drawn(sources.parquet, 5, 1) == drawn(sources.arrow, 5, 1)
    assert set(drawn(sources.parquet, 5, 1)) < set(drawn(sources.parquet, 6, 1))


def test_every_row_and_every_pair_of_rows_is_drawn_as_often_as_the_others() -> None:
    rows, size, draws = 12, 3, 20_000
    once: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for seed in range(draws):
        found = np.argsort(sample_keys(np.arange(rows), seed))[:size].tolist()
        once.update(found)
        pairs.update((a, b) for a in found for b in found if a < b)
    assert len(once) == rows
    assert len(pairs) == rows * (rows - 1) / 2
    # Five standard deviations of a binomial count.
    for counts, share in ((once, size / rows), (pairs, size * (size - 1) / (rows * (rows - 1)))):
        spread = 5 * (draws * share * (1 - share)) ** 0.5
        assert all(abs(count - draws * share) < spread for count in counts.values())


def test_a_sample_of_a_folder_reads_no_row_that_is_not_drawn(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", *(chat("Hi", f"Number {i}") for i in range(40)))
    make(tmp_path / "out", tmp_path / "in.jsonl", template="chatml")
    recut(tmp_path / "out", 1)
    dataset = Dataset(tmp_path / "out")
    asked = list(Search(dataset, Selection(sample=3)).items())
    assert dataset._last is None  # no column has been read
    assert [row.row for row in map(dataset.view, asked)] == asked


# Random access


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_row_is_read_past_others_that_are_broken(tmp_path: Path, format_: str) -> None:
    """Where the rows before it were read, this would fail."""
    write(tmp_path / "in.jsonl", *(chat("Hi", "Hello " * 200) for _ in range(30)), chat("Bye", "Rome"))
    make(tmp_path / "out", tmp_path / "in.jsonl", template="chatml", format=format_)
    recut(tmp_path / "out", 10)
    whole = Dataset(tmp_path / "out").view(30)
    assert text_of(whole).endswith("Rome<|im_end|>\n")
    [shard] = tmp_path.glob(f"out/*.{format_}")
    for begin, end in bodies(shard):
        raw = bytearray(shard.read_bytes())
        raw[begin:end] = b"\xff" * (end - begin)
        shard.write_bytes(raw)
    dataset = Dataset(tmp_path / "out")
    assert dataset.view(30) == whole
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        dataset.view(0)


def bodies(shard: Path) -> Iterator[tuple[int, int]]:
    """Where the ids of the first three units stand in a shard's file."""
    if shard.suffix == ".parquet":
        with pq.ParquetFile(shard) as file:
            for group in range(3):
                column = file.metadata.row_group(group).column(0)
                yield column.data_page_offset, column.data_page_offset + column.total_compressed_size
        return
    with pa.OSFile(str(shard)) as source:
        reader = pa.ipc.MessageReader.open_stream(source)
        reader.read_next_message()  # the schema
        for _ in range(3):
            stop = (reader.read_next_message(), source.tell())[1]
            # A batch ends in the last column, the labels; the mask stands before it and stays.
            yield stop - 64, stop


def test_a_folder_without_its_manifest_is_refused(tmp_path: Path, sftcli_here: Here) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    (tmp_path / "out" / "manifest.json").unlink()
    ended = sftcli_here("inspect", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (3, "")
    assert "has no manifest.json: an incomplete dataset, or none made by sftcli" in ended.err


def test_a_manifest_of_something_else_is_refused(tmp_path: Path, sftcli_here: Here) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {}, "shards": [7]}))
    reason = "Expected `object`, got `int` - at `$.shards[0]`"
    expected = f"error: {tmp_path}/manifest.json: not a manifest of sftcli: {reason}\n"
    for command in ("inspect", "stats"):
        assert sftcli_here(command, str(tmp_path)) == Ended(2, "", expected)


@pytest.mark.parametrize("raw", [b'{"a":' + b"[" * 100_000, b'{"a":"\xff"}', b"{"])
def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path, sftcli_here: Here, raw: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(raw)
    for command in ("inspect", "stats"):
        ended = sftcli_here(command, str(tmp_path))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"error: {tmp_path}/manifest.json: cannot be read: ")


def _shard(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["shards"][0].update(values)


# What is put into a manifest of three rows; the exit code; what is said of manifest.json.
MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], object], int, str]] = {
    "counts": (lambda m: m.update(counts=None), 2, "Expected `object`, got `null` - at `$.counts`"),
    "config": (lambda m: m.update(config=None), 2, "Expected `object`, got `null` - at `$.config`"),
    "tokenizer": (lambda m: m.update(tokenizer=None), 2, "Expected `object`, got `null` - at `$.tokenizer`"),
    "text": (_shard(rows="3"), 2, "Expected `int`, got `str` - at `$.shards[0].rows`"),
    "negative": (_shard(rows=-5), 2, "Expected `int` >= 0 - at `$.shards[0].rows`"),
    "huge": (_shard(rows=10**15 * 10**15), 2, "Expected `int` <= 9007199254740992 - at `$.shards[0].rows`"),
    "sum": (_shard(rows=2), 3, "its counts say 3 rows, and its shards add up to 2; prepare it again"),
    "above": (
        _shard(file="../x.parquet"),
        2,
        "names the shard '../x.parquet', which is no file in this folder",
    ),
    "root": (_shard(file="/etc/passwd"), 2, "names the shard '/etc/passwd', which is no file in this folder"),
    "folder": (_shard(file=".."), 2, "names the shard '..', which is no file in this folder"),
}


@pytest.mark.parametrize("command", ["inspect", "stats"])
@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_with_a_wrong_value(tmp_path: Path, sftcli_here: Here, case: str, command: str) -> None:
    edit, code, expected = MANIFESTS[case]
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    edit_manifest(tmp_path / "out", edit)
    kind = "not a manifest of sftcli: " if expected.startswith("Expected") else ""
    message = f"error: {tmp_path / 'out' / 'manifest.json'}: {kind}{expected}\n"
    assert sftcli_here(command, str(tmp_path / "out")) == Ended(code, "", message)


def edit_manifest(out: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    facts = manifest(out)
    edit(facts)
    (out / "manifest.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("command", ["inspect", "stats"])
def test_a_tokenizer_that_did_not_make_the_rows(tmp_path: Path, sftcli_here: Here, command: str) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    kept = out / "tokenizer" / "tokenizer.json"
    wanted = manifest(out)["tokenizer"]["sha256"]
    kept.write_bytes(kept.read_bytes() + b" ")
    own = hashlib.sha256(kept.read_bytes()).hexdigest()
    message = (
        f"error: {out}/tokenizer: is not the tokenizer that made the rows: its sha256 is {own[:12]}..., "
        f"and the manifest says {wanted[:12]}...; copy it there again, or run prepare again\n"
    )
    assert sftcli_here(command, str(out)) == Ended(3, "", message)


def test_rows_of_any_number_are_asked_for(tmp_path: Path, sftcli_here: Here) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    huge = 10**30
    message = f"error: --row {huge}: {tmp_path}/out has 3 rows, counted from 0\n"
    for more in ((), ("--find", "a")):
        ended = sftcli_here("inspect", str(tmp_path / "out"), "--row", "0", "--row", str(huge), *more)
        assert ended == Ended(2, "", message)


@pytest.mark.parametrize("missing", ["tokenizer", "shard"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, sftcli_here: Here, missing: str) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    if missing == "tokenizer":
        shutil.rmtree(out / "tokenizer")
        message = f"{out}: its tokenizer/ is missing; copy it there again, or run prepare again"
    else:
        [shard] = out.glob("*.parquet")
        shard.unlink()
        message = f"{shard}: cannot be read: "
    ended = sftcli_here("inspect", str(out))
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"error: {message}")


@pytest.mark.parametrize("rows", [1, 2, 4, 600])
@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_shard_with_other_rows_than_its_manifest_says(
    tmp_path: Path, sftcli_here: Here, rows: int, format_: str
) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template="chatml", format=format_)
    edit_manifest(out, lambda facts: (_shard(rows=rows)(facts), facts["counts"].update(rows=rows)))
    [shard] = out.glob(f"*.{format_}")
    message = f"error: {shard}: has 3 rows, and the manifest says {rows}; prepare the folder again\n"
    for command in (["inspect"], ["inspect", "--row", "-1"], ["inspect", "--find", "a"], ["stats"]):
        assert sftcli_here(*command, str(out)) == Ended(3, "", message)


def _column(type_: pa.DataType, change: Callable[[list[list[int]]], object]) -> Callable[..., pa.Array]:
    return lambda rows: pa.array(change(rows), type_)


_INTS = pa.list_(pa.int32())
_LISTS = "and should be a list of whole numbers for each row"
_NOT_EQUAL = "its columns input_ids and labels are not equally long"
# The column, what is made of its rows, and what is said of it.
DAMAGED: dict[str, tuple[str, Callable[..., pa.Array], str]] = {
    "one shorter": ("labels", _column(_INTS, lambda rows: [row[1:] for row in rows]), _NOT_EQUAL),
    "empty": ("labels", _column(_INTS, lambda rows: [[]] * len(rows)), _NOT_EQUAL),
    "a null list": (
        "labels",
        _column(_INTS, lambda rows: [None, *rows[1:]]),
        "its column labels is null in a row",
    ),
    "a null": (
        "labels",
        _column(_INTS, lambda rows: [[None, *row[1:]] for row in rows]),
        "its column labels holds a null",
    ),
    "mask of one": (
        "attention_mask",
        _column(pa.list_(pa.int8()), lambda rows: [[1]] * len(rows)),
        "its columns input_ids and attention_mask are not equally long",
    ),
    "mask of bool": (
        "attention_mask",
        _column(pa.list_(pa.bool_()), lambda rows: [[True] * len(row) for row in rows]),
        f"its column attention_mask is list<item: bool>, {_LISTS}",
    ),
    "text": (
        "labels",
        _column(pa.list_(pa.string()), lambda rows: [[str(label) for label in row] for row in rows]),
        f"its column labels is list<item: string>, {_LISTS}",
    ),
    "nested": (
        "labels",
        _column(pa.list_(_INTS), lambda rows: [[row] for row in rows]),
        f"its column labels is list<item: list<item: int32>>, {_LISTS}",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_columns_that_do_not_fit_are_damage(tmp_path: Path, sftcli_here: Here, case: str) -> None:
    name, change, said = DAMAGED[case]
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    [shard] = out.glob("*.parquet")
    rewritten(out, **{name: change(pq.read_table(shard)[name].to_pylist())})
    message = said.replace("item: ", "element: ")  # Parquet's own name of what a list holds
    expected = Ended(3, "", f"error: {shard}: row group 0: {message}; prepare the folder again\n")
    assert sftcli_here("inspect", str(out)) == expected
    # A search reads the columns one by one; of equal length or not is known at the latest at the row.
    assert sftcli_here("inspect", str(out), "--only", "no-terminator", "--only", "longest") == expected
    if name == "labels":  # the only column that stats needs here
        ended = sftcli_here("stats", str(out))
        assert (ended.code, ended.out) == (3, "")
        assert str(out) in ended.err


def test_offsets_that_lead_outside_are_damage(tmp_path: Path, sftcli_here: Here) -> None:
    out = tmp_path / "out"
    options = {"template": "chatml", "format": "arrow", "compression": "none"}
    make(out, write(tmp_path / "in.jsonl", *TALKS), **options)
    [shard] = out.glob("*.arrow")
    offsets = np.array(Dataset(out)._shard(0).read(0, ["labels"])["labels"].offsets, np.int32)
    raw = bytearray(shard.read_bytes())
    at = raw.rindex(offsets.tobytes())  # those of the last column, the labels
    for damage in (2**30, -5, 0):
        raw[at + 4 : at + 8] = (
            np.array(damage, "<i4").tobytes() if damage else offsets[2:3].tobytes()[:3] + b"\x7f"
        )
        shard.write_bytes(raw)
        for command in ("inspect", "stats"):
            ended = sftcli_here(command, str(out))
            assert (ended.code, ended.out) == (3, "")
            assert ended.err.startswith(f"error: {shard}: cannot be read: ")


def test_a_label_that_is_not_its_token_is_marked_and_one_of_no_token_refused(
    tmp_path: Path, sftcli_here: Here
) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    [shard] = out.glob("*.parquet")
    labels = pq.read_table(shard)["labels"].to_pylist()
    assert all(row[-1] == IGNORE for row in labels)
    labels[1][-1] = 7
    rows = every_row(rewritten(out, labels=pa.array(labels, _INTS)))
    assert [("wrong-label" in row.marks) for row in rows] == [False, True, False]
    shown = sftcli_here("inspect", str(out), "--row", "1").out
    assert "! wrong-label: a label is neither its token's id nor -100; see `sftcli verify`" in shown
    for label in (-7, 4096):
        labels[1][-1] = label
        dataset = rewritten(out, labels=pa.array(labels, _INTS))
        with pytest.raises(TokenizerError, match=f"label {label} is not in tokenizer"):
            dataset.view(1)


# Packed, padded and with columns of its own


def rewritten(out: Path, **columns: pa.Array) -> Dataset:
    """A folder whose one shard gets these columns, new ones or in the place of its own."""
    [shard] = out.glob("*.parquet")
    table = pq.read_table(shard)
    for name, values in columns.items():
        there = table.schema.get_field_index(name)
        table = table.append_column(name, values) if there < 0 else table.set_column(there, name, values)
    pq.write_table(table, shard, row_group_size=2)
    return Dataset(out)


def test_packed_rows_tell_their_documents(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *TALKS)
    make(tmp_path / "out", source, template="chatml", packing="bfd", max_length=40)
    dataset = Dataset(tmp_path / "out")
    assert [row.documents for row in every_row(dataset)] == [(40,), (15, 13)]
    # A packed row is of several lines, so no line is told.
    assert {(row.source.file, row.source.line) for row in every_row(dataset) if row.source} == {
        (str(tmp_path / "in.jsonl"), None)
    }


def test_padding_is_no_token_of_the_row(tmp_path: Path) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    plain = Dataset(tmp_path / "out")
    rows = [plain.view(i) for i in range(3)]
    ids = [[token.id for token in row.tokens] for row in rows]
    labels = [[token.label for token in row.tokens] for row in rows]
    pads = [len(row) + 5 if i else 100 for i, row in enumerate(ids)]
    star = plain.tokenizer.reference.token_to_id("*")
    int32, int8 = pa.list_(pa.int32()), pa.list_(pa.int8())
    dataset = rewritten(
        tmp_path / "out",
        input_ids=pa.array(
            [row + [star] * (pad - len(row)) for row, pad in zip(ids, pads, strict=True)], int32
        ),
        attention_mask=pa.array(
            [[1] * len(row) + [0] * (pad - len(row)) for row, pad in zip(ids, pads, strict=True)], int8
        ),
        labels=pa.array(
            [row + [IGNORE] * (pad - len(row)) for row, pad in zip(labels, pads, strict=True)], int32
        ),
    )
    found = every_row(dataset)
    assert [len(row.tokens) for row in found] == pads
    assert [row.counts for row in found] == [row.counts for row in rows]
    assert [[token.padding for token in row.tokens].index(True) for row in found] == list(map(len, ids))
    assert [row.row for row in Search(dataset, Selection(ranking="longest", most=3))] == [1, 2, 0]
    assert list(Search(dataset, Selection(text=Wanted(("*",))))) == []
    assert [row.row for row in Search(dataset, Selection(text=Wanted(("日本語",))))] == [1]


def test_an_id_is_looked_for_in_a_column_that_holds_ids(tmp_path: Path) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    with pytest.raises(UsageError, match="the shards hold no ids"):
        list(Search(Dataset(tmp_path / "out"), Selection(ids=("a",))))
    dataset = rewritten(tmp_path / "out", id=pa.array(["a", "k=1", "c"]), k=pa.array([3, 2, 1]))
    cases = {("a",): [0], ("k=1",): [1, 2], ("k=3",): [0], ("z",): [], ("c", "k=3"): [0, 2]}
    for wanted, rows in cases.items():
        assert [row.row for row in Search(dataset, Selection(ids=wanted))] == rows


# Where a row came from


def test_a_row_of_a_folder_names_its_file_and_its_line_where_it_is_known(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.jsonl", *TALKS), write(tmp_path / "2.jsonl", TALKS[0])
    make(tmp_path / "out", one, two, template="chatml")
    dataset = Dataset(tmp_path / "out")
    assert [row.source.place for row in every_row(dataset) if row.source] == [
        f"{one}:1", f"{one}:2", f"{one}:3", f"{two}:1"
    ]  # fmt: skip
    two.write_bytes(
        b"\n" + two.read_bytes()
    )  # a line that is no row: the others have moved by who knows how many
    make(tmp_path / "blank", one, two, template="chatml")
    assert [row.source.place for row in every_row(Dataset(tmp_path / "blank")) if row.source] == [
        str(one), str(one), str(one), str(two)
    ]  # fmt: skip


# Searching tokens


def test_searched_tokens_give_the_rows_whose_text_holds_it(any_tokenizer: Tokenizer) -> None:
    search = TokenSearch(any_tokenizer)
    # Some ids more often than others, of one letter or of a part of a character.
    common = [any_tokenizer.reference.token_to_id(t) for t in ("a", "Ġa", "é", "▁a", "Ã", "©", "<0xC3>")]
    ids = st.sampled_from([i for i in common if i is not None]) | st.integers(0, any_tokenizer.size - 1)

    @given(data=st.data(), rows=st.lists(st.lists(ids, max_size=12), min_size=1, max_size=6))
    def check(data: st.DataObject, rows: list[list[int]]) -> None:
        tokens = [[any_tokenizer.token_bytes(i) for i in row] for row in rows]
        texts = ["".join(text for text, _ in token_texts(row)) for row in tokens]
        joined = "".join(texts) or "a"  # what spans two rows could be found by mistake
        start = data.draw(st.integers(0, len(joined) - 1))
        wanted = joined[start : start + data.draw(st.integers(1, 6))]
        patterns = data.draw(st.lists(st.sampled_from(["a.", "[^a]$", r"\\x", r"^\W"]), max_size=1))
        flat = np.array([i for row in rows for i in row], np.int32)
        offsets = np.cumsum([0, *map(len, rows)])
        found = search.holding(Wanted((wanted,), tuple(map(re.compile, patterns))), flat, offsets)
        assert found.tolist() == [
            wanted in text and all(re.search(pattern, text) for pattern in patterns) for text in texts
        ]

    check()


def test_text_that_reaches_into_the_next_row_is_not_found_there_and_hides_nothing() -> None:
    found = rows_with(b"aa", b"aaa" + b"" + b"ba" + b"a", np.array([0, 1, 3, 3, 5, 6]))
    assert found.tolist() == [False, True, False, False, False]


def test_a_character_that_two_rows_share_is_in_neither(small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small("chatml")
    a, first, second = (tokenizer.reference.token_to_id(text) for text in ("a", "Ã", "©"))
    ids, offsets = np.array([a, first, second, a, first, second]), np.array([0, 2, 4, 6])
    search = TokenSearch(tokenizer)
    texts = {"é": [False, False, True], r"a\xc3": [True, False, False], r"\xa9a": [False, True, False]}
    for text, rows in texts.items():
        assert search.holding(Wanted((text,)), ids, offsets).tolist() == rows


def test_a_token_s_text_is_that_of_the_tokenizers_library(any_tokenizer: Tokenizer) -> None:
    for tokenizer in (any_tokenizer, any_tokenizer.with_control_tokens(["<|new|>"], {"pad": "<|pad|>"})):
        ids = range(tokenizer.size + 2)
        assert [tokenizer.token_text(i) for i in ids] == [tokenizer.reference.id_to_token(i) for i in ids]
        assert tokenizer.token_text(-1) is None


def test_control_text_is_what_ordinary_tokens_spell(small: Callable[[str], Tokenizer]) -> None:
    tokenizer = small("chatml")
    end = tokenizer.control_tokens["<|im_end|>"].id
    tokenizer.reference.encode_special_tokens = True
    spelled = tokenizer.reference.encode("a<|im_end|>", add_special_tokens=False).ids
    half = tokenizer.reference.encode("<|im_", add_special_tokens=False).ids
    rest = tokenizer.reference.encode("end|><|im_end|>", add_special_tokens=False).ids
    rows = [[end], spelled, half, rest, [*half, end], [], half, rest[: len(rest) // 3]]
    expected = [False, True, False, True, False, False, False, False]
    flat, offsets = np.array([i for row in rows for i in row]), np.cumsum([0, *map(len, rows)])
    assert TokenSearch(tokenizer).with_control_text(flat, offsets).tolist() == expected
    assert [has_control_text(tokenizer, row) for row in rows] == expected


def test_an_id_that_the_tokenizer_does_not_have_is_an_error_of_the_tokenizer(tmp_path: Path) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", chat("a", "b")), template="chatml")
    ids = pa.array([[4094, 9999]], pa.list_(pa.int32()))
    dataset = rewritten(
        *(tmp_path / "out",),
        input_ids=ids,
        labels=ids,
        attention_mask=pa.array([[1, 1]], pa.list_(pa.int8())),
    )
    for selection in (Selection(), Selection(text=Wanted(("a",))), Selection(marks=("no-terminator",))):
        with pytest.raises(TokenizerError, match="id 9999 is not in tokenizer"):
            list(Search(dataset, selection))


# Rows that nothing ends


@given(rows=st.lists(st.lists(st.tuples(st.sampled_from("w xe"), st.booleans(), st.booleans()), max_size=7)))
def test_a_row_without_a_terminator_against_a_slow_version(rows: list[list[tuple[str, bool, bool]]]) -> None:
    """w: white space, e: a control token, x: text; each trained or not, of the template or not."""
    tokenizer = demo()
    of = {name: tokenizer.reference.token_to_id(text) for name, text in
          (("w", "Ċ"), (" ", "Ġ"), ("x", "x"), ("e", "<|im_end|>"))}  # fmt: skip
    flat = [token for row in rows for token in row]
    ids = np.array([of[kind] for kind, _, _ in flat], np.int64)
    trained = np.array([token[1] for token in flat], np.bool_)
    template = np.array([token[2] for token in flat], np.bool_)
    offsets = np.cumsum([0, *map(len, rows)])
    found = MarkFinder(tokenizer).unended(ids, trained, offsets, template).tolist()
    assert found == [any(not ends(stretch) for stretch in stretches(row)) for row in rows]


def stretches(row: list[tuple[str, bool, bool]]) -> list[list[tuple[str, bool, bool]]]:
    return [list(same) for trained, same in groupby(row, lambda token: token[1]) if trained]


def ends(stretch: Sequence[tuple[str, bool, bool]]) -> bool:
    solid = [kind for kind, _, _ in stretch if kind not in "w "]
    return stretch[-1][2] or solid[-1:] == ["e"]


@pytest.mark.parametrize("template", [*builtin_names(), "tokenizer"])
@pytest.mark.parametrize("eos", ["turn", "none", "last"])
def test_rows_of_the_built_in_templates_end_unless_their_terminators_are_masked(
    tmp_path: Path, template: str, eos: str
) -> None:
    """Raw data and shards, of which only the first knows the text of the template."""
    layout = None if template == "tokenizer" else load_template(template)
    own = [token for token in layout.control_tokens if "{" not in token] if layout else []
    options = {"template": template, "train_on_eos": eos}
    options |= {"add_special_tokens": [token for token in own if token not in demo().control_tokens]}
    if template in ("alpaca", "plain"):
        rows = [{"instruction": "a", "output": text} for text in ("b", "b\n", "Hello, all")]
        file = write(
            tmp_path / "in.jsonl", *(row | {"prompt": "a\n", "completion": row["output"]} for row in rows)
        )
        options["record_format"] = "alpaca" if template == "alpaca" else "prompt_completion"
        unended = [0, 1, 2] if eos == "none" else []
    else:
        file = write(
            tmp_path / "in.jsonl", chat("Hi", "b"), chat("Hi", "b\n"), chat("a", "Yes", "c", "d  \n")
        )
        unended = {"turn": [], "none": [0, 1, 2], "last": [2]}[eos]
    make(tmp_path / "out", file, **options)
    selection = Selection(marks=("no-terminator",))
    assert [row.row for row in Search(raw(file, **options), selection)] == unended
    assert [row.row for row in Search(Dataset(tmp_path / "out"), selection)] == unended


@cache
def demo() -> Tokenizer:
    return load_tokenizer("demo")


# Raw data


BAD = [chat("Hi", "One"), {"messages": []}, chat("Hi", "Two"), {"messages": 1}, chat("Hi", "Three")]


def raw(*files: Path | str, **options: Any) -> RawData:
    values = {"tokenizer": "demo", "template": "chatml", "inputs": [str(file) for file in files], **options}
    return RawData(load_config(None, values), encoded=True)


def test_bad_records_count_as_records_and_are_passed_over_by_all_but_their_number(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", *BAD)
    source = raw(file)
    search = Search(source, Selection(span=(1, None)))
    assert [row.row for row in search] == [2, 4]
    assert (search.searched, search.matched, source.bad) == (4, 2, 2)
    assert source.first_bad == f"{file}:2:14: R006 empty_messages: messages: the conversation has no messages"
    for selection in (Selection(rows=(0, 3)), Selection(rows=(-2,))):
        with pytest.raises(DataError, match=r"in\.jsonl:4:14: R003 wrong_type: messages: expected a list"):
            list(Search(source, selection))


def test_no_bad_record_is_drawn(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", *BAD)
    for seed in range(20):
        assert len(list(Search(raw(file), Selection(sample=3, seed=seed)))) == 3
        assert [row.row in (0, 2, 4) for row in Search(raw(file), Selection(sample=2, seed=seed))] == [
            True
        ] * 2


def test_lines_are_those_of_the_file_and_records_go_on_from_file_to_file(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    write(one, *TALKS)
    one.write_bytes(b"\n\n" + one.read_bytes() + b"  \n")
    write(two, TALKS[0])
    places = [
        (row.row, row.source.place) for row in Search(raw(one, two), Selection(span=(1, 4))) if row.source
    ]
    assert places == [(1, f"{one}:4"), (2, f"{one}:5"), (3, f"{two}:1")]


@pytest.mark.parametrize("which", [Selection(), Selection(text=Wanted(("Rome",)))], ids=["row", "search"])
def test_a_key_that_no_record_is_read_by_may_stand_twice(tmp_path: Path, which: Selection) -> None:
    """As in prepare, which reads the same keys."""
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl(chat("Hi", "Rome")).replace(b"{", b'{"note": 1, "note": 2, ', 1))
    make(tmp_path / "out", file, template="chatml")
    assert [row.tokens[10].text for row in Search(raw(file), which)] == ["R"]


def test_a_limit_ends_the_records(tmp_path: Path) -> None:
    file = write(tmp_path / "in.jsonl", *TALKS)
    assert [row.row for row in Search(raw(file, limit=2), Selection(span=(None, None)))] == [0, 1]
    assert [row.row for row in Search(raw(file, limit=2), Selection(rows=(-1,)))] == [1]
    with pytest.raises(UsageError, match=r"--row 2: .* has 2 records, counted from 0"):
        list(Search(raw(file, limit=2), Selection(rows=(2,))))


def test_no_more_is_read_than_it_takes(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    whole = gzip.compress(
        b"".join(jsonl(chat("Hi", random.Random(i).randbytes(400).hex())) for i in range(9_000))
    )
    file.write_bytes(whole[: len(whole) // 2])  # broken off after some thousands of records
    assert [row.row for row in Search(raw(file), Selection(rows=(1, 0)))] == [1, 0]
    assert [row.row for row in Search(raw(file), Selection(span=(3, 5)))] == [3, 4]
    with pytest.raises(FileError, match="breaks off"):
        list(Search(raw(file), Selection(ranking="longest")))


def test_standard_input_is_searched_as_it_comes_and_not_counted_from_its_end(tmp_path: Path) -> None:
    lines = jsonl(*TALKS)

    def run(*args: str) -> Ended:
        asked = ("inspect", "-", "-t", "demo", "--template", "chatml", "--format", "json", *args)
        return run_sftcli(*asked, stdin=lines, cwd=tmp_path)

    assert [json.loads(line)["row"] for line in run("--row", "2", "--row", "0").out.splitlines()] == [2, 0]
    assert [json.loads(line)["row"] for line in run("--sample", "2").out.splitlines()] in (
        [0, 1],
        [0, 2],
        [1, 2],
    )
    assert run("--find", "Rome").err == "1 of 3 records matches\n"
    first = ("inspect", "-", "-t", "demo", "--template", "chatml", "--view", "runs")
    shown = run_sftcli(*first, stdin=lines, cwd=tmp_path)
    assert shown.out.startswith("standard input:1 · row 0\n")
    bad = run_sftcli(*first, stdin=jsonl({"messages": []}), cwd=tmp_path)
    assert bad.err.startswith("error: standard input:1:14: ")
    ended = run("--rows", "-1:")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: standard input can be read only once, so rows cannot be counted")


# The command


def test_the_options_name_what_there_is() -> None:
    assert (*MARKS, *RANKINGS) == ONLY
    assert (*views.VIEWS, "diff") == cli.VIEWS


@pytest.mark.parametrize("text", ["1:2:3", "1", "a:b", "", "1.5:2", "٣:", "9" * 5000 + ":"])
def test_a_slice_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="expected A:B with whole numbers"):
        parse_span(text)
    assert parse_span(" -5: ") == (-5, None)
    assert parse_span(":+7") == (None, 7)


def test_help_lists_the_options_in_sections(sftcli_here: Here) -> None:
    out = sftcli_here("inspect", "--help").out
    sections = re.findall(r"^(\w.*):\n", out, re.MULTILINE)
    assert sections == ["Which rows", "How they are shown", "How raw data becomes rows, as in `prepare`"]
    first = {
        title: part.split()[0]
        for title, part in zip(sections, re.split(r"^\w.*:\n", out, flags=re.M)[1:], strict=True)
    }
    assert list(first.values()) == ["--row", "--view", "--config"]
    options = {opt for param in cli.inspect.params for opt in param.opts if opt.startswith("--")}
    assert {opt for opt in options if not re.search(rf"^  (-\w, )?{opt}\b", out, re.MULTILINE)} == set()


def test_json_has_padding_and_losses_only_where_there_are_some() -> None:
    view = RowView(
        3, None, (TokenView(0, 5, "a", 5, True, False), TokenView(1, 6, "", -100, False, True, padding=True))
    )
    token = {
        "i": 0,
        "id": 5,
        "text": "a",
        "label": 5,
        "trained": True,
        "origin": None,
        "turn": None,
        "role": None,
    }
    pad = {**token, "i": 1, "id": 6, "text": "", "label": -100, "trained": False, "padding": True}
    known = {
        "row": 3,
        "id": None,
        "source": None,
        "dropped": None,
        "marks": [],
        "counts": {"tokens": 1, "trained": 1},
    }
    assert row_json(view) == {**known, "tokens": [token, pad]}
    lost = replace(view, documents=(1, 1), tokens=(replace(view.tokens[0], loss=1.5), view.tokens[1]))
    assert row_json(lost, measured=True) == {
        **known,
        "tokens": [{**token, "loss": 1.5}, {**pad, "loss": None}],
        "documents": [1, 1],
    }


CHATML = ("-t", "demo", "--template", "chatml")


def test_a_file_gets_what_the_screen_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *TALKS)
    base = ("inspect", "in.jsonl", *CHATML, "--rows", ":2")
    for name, flags in (("a.txt", ()), ("b.json", ("--format", "json")), ("c.html", ("--format", "html"))):
        shown = sftcli_here(*base, *flags)
        Path(name).write_text("old")
        assert sftcli_here(*base, "-o", name) == Ended(0, "", f"2 records: {name}\n")
        assert Path(name).read_text(encoding="utf-8") == shown.out
    assert sorted(path.name for path in Path().iterdir()) == ["a.txt", "b.json", "c.html", "in.jsonl"]
    assert "\x1b[" in (sftcli_here(*base, "-o", "a.txt", "--color", "always"), Path("a.txt").read_text())[1]


def test_a_file_stays_as_it_was_where_a_row_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *BAD)
    Path("rows.txt").write_text("old")
    assert sftcli_here("inspect", "in.jsonl", *CHATML, "--row", "1", "-o", "rows.txt").code == 1
    assert Path("rows.txt").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["in.jsonl", "rows.txt"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", *TALKS)
    ended = run_sftcli("inspect", "in.jsonl", *CHATML, "-o", "/dev/stdout", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "1 record: /dev/stdout\n")
    assert ended.out == run_sftcli("inspect", "in.jsonl", *CHATML, cwd=tmp_path).out


def test_several_inputs_are_one_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("1.jsonl"), *TALKS)
    write(Path("2.jsonl"), TALKS[0])
    ended = sftcli_here("inspect", "1.jsonl", "2.jsonl", *CHATML, "--row", "-1")
    assert ended.out.startswith("2.jsonl:1 · row 3\n")
    assert sftcli_here("inspect", "?.jsonl", *CHATML, "--row", "-1") == ended


@pytest.mark.parametrize("key", ["tokenizer", "template_args", "train_on"])
def test_the_other_side_is_made_as_its_own_options_would_make_it(
    tmp_path: Path, small: Callable[[str], Tokenizer], key: str
) -> None:
    value = {"tokenizer": small("chatml").name, "template_args": '{"add_thinking": true}', "train_on": "all"}[
        key
    ]
    options: dict[str, Any] = {"template": "tokenizer" if key == "template_args" else "chatml"}
    source = raw(write(tmp_path / "in.jsonl", *TALKS), **options)
    flags = dict.fromkeys(source.config.__struct_fields__) | {"tokenizer": "demo", **options}
    flags |= {"field": (), "template_args": (), "loss_weight": (), "add_special_tokens": ()}
    other = OtherOptions(source, [f"{key}={value}"], None, flags)
    settled = {"add_thinking": True} if key == "template_args" else value
    same = raw(tmp_path / "in.jsonl", **{**options, key: settled})
    items = list(Search(source, Selection(span=(None, None))).items())
    assert list(map(other.view, items)) == list(map(same.view, items))
    assert other.names[1] == f"{key}={settled}"


def test_records_of_standard_input_are_compared_too(tmp_path: Path) -> None:
    ended = run_sftcli(
        "inspect", "-", *CHATML, "--against", "train_on=all", stdin=jsonl(*TALKS), cwd=tmp_path
    )
    assert (ended.code, ended.err) == (0, "")
    assert "train_on=assistant" in ended.out


def test_a_folder_with_fewer_rows_is_compared_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    make("three", write(tmp_path / "3.jsonl", *TALKS), template="chatml")
    make("one", write(tmp_path / "1.jsonl", TALKS[0]), template="chatml")
    assert "same: every id" in sftcli_here("inspect", "three", "--against", "one").out
    ended = sftcli_here("inspect", "three", "--against", "one", "--row", "1")
    assert (ended.code, ended.err) == (2, "error: --against one: has 1 row, so no row 1\n")


def test_the_other_side_s_errors_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), {"messages": [{"role": "system", "content": "Be kind."}, *TALKS[0]["messages"]]})
    Path("none.yaml").write_text(
        "roles:\n  user: {before: 'U ', end: '\\n'}\n  assistant: {before: 'A ', end: '{eos}'}\n"
    )
    ended = sftcli_here("inspect", "in.jsonl", *CHATML, "--against", "template=none.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: in.jsonl:1:")
    assert ended.err.endswith("(with template=none)\n")


def test_a_page_says_how_its_rows_were_made(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.jsonl", TALKS[0]) for i in range(5)]
    known = {
        "template": "chatml",
        "records": "messages",
        "tokenizer": "demo",
        "trained": "assistant turns, terminator of each trained turn",
    }
    named = {"source": f"{files[0]}, {files[1]}, {files[2]} and 2 more"}
    assert raw(*files).facts == {**named, **known}
    make(tmp_path / "out", *files, template="chatml")
    assert Dataset(tmp_path / "out").facts == {**named, **known, "folder": str(tmp_path / "out")}
    other = raw(files[0], train_on="last", train_on_eos="none").facts
    assert other["trained"] == "the last assistant turn, no terminator"


def test_a_set_that_may_change_its_meaning_is_no_warning() -> None:
    assert compiled("[[a]").search("a")

"""Which rows are written, how often, where and in what order: splits, shuffles, duplicates, sources."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import CONFIGS, EXAMPLES, Ended, Here, chat, jsonl, make, manifest, tree
from hypothesis import given
from hypothesis import strategies as st

from sftcli.arrange import second
from sftcli.config import Config, SourceOptions, load_config
from sftcli.errors import ConfigError, DataError
from sftcli.plan import plan_splits
from sftcli.prepared import facts_in
from sftcli.tokenizer import load_tokenizer
from sftcli.verify.again import check_all
from sftcli.verify.sample import check_sample


def records(*numbers: int) -> bytes:
    """A record of one prompt and its answer for each number."""
    return jsonl(*({"prompt": f"{n} + 1 =", "completion": f" {n + 1}"} for n in numbers))


def texts(out: Path, side: str = "train") -> list[str]:
    """The rows of one side as text, in order."""
    tokenizer = load_tokenizer("demo").reference
    shards = sorted(out.glob(f"{side}-*.parquet"))
    ids = [row for shard in shards for row in pq.read_table(shard)["input_ids"].to_pylist()]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in ids]


def numbers(out: Path, side: str = "train") -> list[int]:
    """The numbers that `records` was given, of each row."""
    return [int(text.partition(" ")[0]) for text in texts(out, side)]


@pytest.fixture
def small_splits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets inputs be cut into splits of so many bytes."""

    def cut(size: int) -> None:
        for module in ("run", "sources"):
            monkeypatch.setattr(
                f"sftcli.{module}.plan_splits", lambda inputs, _size=0: plan_splits(inputs, size)
            )

    return cut


# Validation


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", ["30%", "20"])
@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_equal_prompts_are_on_one_side(tmp_path: Path, seed: int, size: str, format_: str) -> None:
    chance = random.Random(seed)
    asked = [chance.randrange(40) for _ in range(120)]
    rows = [{"prompt": f"{n} ?", "completion": f" {chance.randrange(99)}"} for n in asked]
    (tmp_path / "in.jsonl").write_bytes(jsonl(*rows))
    report = make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", val_size=size, format=format_)
    loaded = (
        datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
        if format_ == "parquet"
        else datasets.load_from_disk(str(tmp_path / "out"))
    )
    tokenizer = load_tokenizer("demo").reference
    found = {
        side: [int(tokenizer.decode(ids).partition(" ")[0]) for ids in loaded[side]["input_ids"]]
        for side in ("train", "validation")
    }
    assert not set(found["train"]) & set(found["validation"])
    assert Counter(found["train"] + found["validation"]) == Counter(asked)
    assert report.splits == {
        side: {
            "records": len(loaded[side]),
            "rows": len(loaded[side]),
            "tokens": sum(map(len, loaded[side]["input_ids"])),
            "trained_tokens": sum(label != -100 for row in loaded[side]["labels"] for label in row),
        }
        for side in ("train", "validation")
    }
    if size == "20":
        often = Counter(found["validation"])
        assert 20 <= len(found["validation"]) < 20 + max(often.values())


def test_rows_stay_where_they_are_when_data_is_added(tmp_path: Path) -> None:
    for name, count in (("old", 100), ("new", 300)):
        (tmp_path / f"{name}.jsonl").write_bytes(records(*range(count)))
        make(tmp_path / name, tmp_path / f"{name}.jsonl", template="plain", val_size="20%")
    old, new = (set(numbers(tmp_path / name, "validation")) for name in ("old", "new"))
    assert old == {number for number in new if number < 100}
    assert 0 < len(old) < 100


def test_sides_do_not_depend_on_the_splits(tmp_path: Path, small_splits: Callable[[int], None]) -> None:
    (tmp_path / "in.jsonl").write_bytes(records(*range(200)))
    found = []
    for size in (1 << 20, 1_000):
        small_splits(size)
        for wanted in ("10%", "10"):
            make(tmp_path / f"{size}-{wanted}", tmp_path / "in.jsonl", template="plain", val_size=wanted)
            found.append(
                {side: numbers(tmp_path / f"{size}-{wanted}", side) for side in ("train", "validation")}
            )
    assert found[0] == found[2]
    assert found[1] == found[3]
    files = sorted(path.name for path in (tmp_path / "1000-10%").glob("*.parquet"))
    assert files[:2] == ["train-00000-of-00009.parquet", "train-00001-of-00009.parquet"]
    assert files[-1] == "validation-00008-of-00009.parquet"
    facts = manifest(tmp_path / "1000-10%")
    assert [shard["split"] for shard in facts["shards"]] == ["train"] * 9 + ["validation"] * 9
    assert facts["splits"]["train"]["rows"] + facts["splits"]["validation"]["rows"] == 200


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_shard_may_have_no_rows(tmp_path: Path, format_: str, small_splits: Callable[[int], None]) -> None:
    """Splits of which only some have rows of the smaller side: both are read all the same."""
    (tmp_path / "in.jsonl").write_bytes(records(*range(30)))
    small_splits(100)
    make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", val_size="10%", format=format_)
    shards = manifest(tmp_path / "out")["shards"]
    rows = [shard["rows"] for shard in shards if shard["split"] == "validation"]
    assert 0 in rows
    assert sum(rows) > 0
    loaded = (
        datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
        if format_ == "parquet"
        else datasets.load_from_disk(str(tmp_path / "out"))
    )
    assert (len(loaded["train"]), len(loaded["validation"])) == (30 - sum(rows), sum(rows))


@pytest.mark.parametrize("size", ["1%", "5"])
def test_a_side_without_rows_is_an_error(tmp_path: Path, size: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(records(*range(5)))
    with pytest.raises(ConfigError) as refused:
        make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", val_size=size)
    side = "validation" if size == "1%" else "train"
    assert str(refused.value) == (
        f"--val-size {size}: none of the 5 rows would be in `{side}`, since equal prompts stay together; "
        "ask for a larger or smaller part" + ", or for a number of rows" * (size == "1%")
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", ["0%", "100%", "0", "-1", "1.5", "a", "1e3", "%", "5 %%"])
def test_a_size_that_is_none(size: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"val_size": size})
    assert str(refused.value) == (
        f"val_size: expected a share above 0% and below 100%, such as 1%, or a number of rows, found {size!r}"
    )


# Shuffling


@pytest.mark.parametrize("size", [1 << 20, 2_000, 500])
def test_a_shuffle_is_numpys_permutation_whatever_the_splits(
    tmp_path: Path, size: int, small_splits: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_splits(size)
    monkeypatch.setattr(second, "_TOKENS_AT_A_TIME", 100)  # in more than one batch
    (tmp_path / "in.jsonl").write_bytes(records(*range(300)))
    for seed in (0, 7):
        make(tmp_path / f"out{seed}", tmp_path / "in.jsonl", template="plain", shuffle=True, seed=seed)
        expected = np.random.Generator(np.random.PCG64(seed)).permutation(300).tolist()
        assert numbers(tmp_path / f"out{seed}") == expected
    shards = manifest(tmp_path / "out0")["shards"]
    assert max(shard["rows"] for shard in shards) - min(shard["rows"] for shard in shards) <= 1
    assert [shard["input"] for shard in shards] == [None] * len(shards)


def test_shuffled_rows_are_those_that_were_put_in_order(tmp_path: Path) -> None:
    """Every column, with weights, turns, a kept field and a source, moves with its row."""
    talks = [
        {**chat(f"{n}?", "x " * (n % 7 + 1), "and?", f"{n}!"), "id": f"r{n}", "score": n / 3}
        for n in range(40)
    ]
    (tmp_path / "in.jsonl").write_bytes(jsonl(*talks))
    options = {
        "template": "chatml",
        "loss_weight": {"user": 0.5},
        "columns": ["length", "source", "turn_ids", "loss_mask"],
        "keep": ["id", "score"],
    }
    make(tmp_path / "plain", tmp_path / "in.jsonl", **options)
    make(tmp_path / "shuffled", tmp_path / "in.jsonl", shuffle=True, **options)
    plain, shuffled = (
        pq.read_table(next((tmp_path / name).glob("*.parquet"))).to_pylist() for name in ("plain", "shuffled")
    )
    order = np.random.Generator(np.random.PCG64(0)).permutation(40).tolist()
    assert shuffled == [plain[row] for row in order]


@pytest.mark.parametrize("packing", ["bfd", "wrapped"])
def test_rows_are_packed_after_they_are_shuffled(tmp_path: Path, packing: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(records(*range(50)))
    for name, shuffle in (("plain", False), ("shuffled", True)):
        make(
            tmp_path / name,
            tmp_path / "in.jsonl",
            template="plain",
            packing=packing,
            max_length=32,
            shuffle=shuffle,
            val_size="20%",
        )
    for name in ("plain", "shuffled"):
        counts = manifest(tmp_path / name)["counts"]
        assert (counts["examples"], counts["dropped"]) == (50, {})
    both = [
        Counter(
            id_ for side in ("train", "validation") for text in texts(tmp_path / name, side) for id_ in text
        )
        for name in ("plain", "shuffled")
    ]
    assert both[0] == both[1]
    assert texts(tmp_path / "plain") != texts(tmp_path / "shuffled")


# Duplicates

ASKED = [
    {"prompt": "a", "completion": "1"},
    {"prompt": "b", "completion": "1"},
    {"prompt": "a", "completion": "1"},
    {"prompt": "a", "completion": "2"},
    {"prompt": "c", "completion": "3"},
    {"prompt": "b", "completion": "1"},
]


@pytest.mark.parametrize(
    ("dedup", "kept", "dropped"),
    [
        ("none", [0, 1, 2, 3, 4, 5], {}),
        ("exact", [0, 1, 3, 4], {"duplicate_record": 2}),
        ("prompt", [0, 1, 4], {"duplicate_record": 2, "different_answers": 1}),
    ],
)
def test_the_first_one_is_kept(tmp_path: Path, dedup: str, kept: list[int], dropped: dict[str, int]) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n" + jsonl(*ASKED))
    report = make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", dedup=dedup)
    assert texts(tmp_path / "out") == [ASKED[n]["prompt"] + ASKED[n]["completion"] for n in kept]
    counts = manifest(tmp_path / "out")["counts"]
    assert counts["dropped"] == dropped
    assert (counts["lines"], counts["blank"], counts["examples"]) == (7, 1, len(kept))
    places = {
        "duplicate_record": [f"{tmp_path}/in.jsonl:4", f"{tmp_path}/in.jsonl:7"],
        "different_answers": [f"{tmp_path}/in.jsonl:5"],
    }
    assert report.counts.places == {reason: places[reason] for reason in dropped}
    assert [(code, found["count"]) for code, found in counts["findings"].items()] == [
        (code, dropped[reason])
        for code, reason in (("D001", "duplicate_record"), ("D002", "different_answers"))
        if reason in dropped
    ]


def test_records_that_make_other_rows_are_not_the_same(tmp_path: Path) -> None:
    """A field of the completion alone, and a message's own flag: neither is in the messages' texts."""
    (tmp_path / "own.yaml").write_text('prompt: "{instruction}: "\ncompletion: "{output} {extra}"\n')
    more = [{"instruction": "a", "output": "b", "extra": extra} for extra in ("one", "two", "two")]
    (tmp_path / "more.jsonl").write_bytes(jsonl(*more))
    template = str(tmp_path / "own.yaml")
    make(tmp_path / "1", tmp_path / "more.jsonl", template=template, dedup="exact", record_format="alpaca")
    assert texts(tmp_path / "1") == ["a: b one", "a: b two"]

    talk = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]
    flagged = [*talk[:1], {**talk[1], "train": False}, *talk[2:]]
    (tmp_path / "talks.jsonl").write_bytes(jsonl(*({"messages": one} for one in (flagged, talk, talk))))
    report = make(tmp_path / "2", tmp_path / "talks.jsonl", template="chatml", dedup="exact")
    assert (report.counts.rows, dict(report.counts.dropped)) == (2, {"duplicate_record": 1})


def test_a_large_validation_side_has_no_more_shards_than_there_were_splits(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(records(*range(100)))
    report = make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", val_size=99)
    assert report.shards == 2


def test_places_are_those_in_the_file_beyond_its_first_split(
    tmp_path: Path, small_splits: Callable[[int], None]
) -> None:
    small_splits(100)
    (tmp_path / "in.jsonl").write_bytes(records(*range(20), 3, 17))
    report = make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", dedup="exact")
    assert report.shards > 5
    assert report.counts.places["duplicate_record"] == [f"{tmp_path}/in.jsonl:{line}" for line in (21, 22)]


def test_counts_are_those_of_the_rows_that_are_left(tmp_path: Path) -> None:
    """The longest row, the tokens and the straddles are of what is written, not of what was read."""
    long = {"prompt": "a", "completion": "one two three four five six seven"}
    (tmp_path / "in.jsonl").write_bytes(jsonl(ASKED[0], long, ASKED[4]))
    report = make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", dedup="prompt")
    rows = pq.read_table(next((tmp_path / "out").glob("*.parquet"))).to_pylist()
    assert report.counts.tokens == sum(len(row["input_ids"]) for row in rows)
    assert report.counts.trained_tokens == sum(label != -100 for row in rows for label in row["labels"])
    assert report.counts.longest == max(len(row["input_ids"]) for row in rows)
    assert report.counts.longest_place == f"{tmp_path}/in.jsonl:1"


# Sources


def config_of(path: Path, text: str) -> Config:
    path.write_text(text)
    return load_config(str(path), {"output": str(path.parent / "out"), "tokenizer": "demo"})


def prepared(tmp_path: Path, sources: list[dict[str, Any]], **options: Any) -> Path:
    """A folder made of these sources."""
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump({"sources": sources, "template": "plain", **options}))
    make(
        tmp_path / "out",
        **msgspec.structs.asdict(load_config(str(tmp_path / "mix.yaml"), {}))
        | {"tokenizer": "demo", "output": str(tmp_path / "out")},
    )
    return tmp_path / "out"


def test_each_source_is_read_in_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records(1, 2, 3))
    (tmp_path / "b.jsonl").write_bytes(jsonl(*({"q": f"{n}?", "a": f" {n}!", "extra": n} for n in range(4))))
    (tmp_path / "qa.yaml").write_text('prompt: "Q: {question}\\nA:"\ncompletion: "{answer}"\n')
    out = prepared(
        tmp_path,
        [
            {"inputs": [str(tmp_path / "a.jsonl")], "max_records": 2},
            {
                "name": "questions",
                "inputs": [str(tmp_path / "b.jsonl")],
                "template": str(tmp_path / "qa.yaml"),
                "record_format": "fields",
                "field": {"question": "q", "answer": "a"},
            },
        ],
    )
    assert texts(out) == ["1 + 1 = 2", "2 + 1 = 3", *(f"Q: {n}?\nA: {n}!" for n in range(4))]
    facts = manifest(out)
    assert [(shard["file"], shard["rows"]) for shard in facts["shards"]] == [
        ("train-00000-of-00002.parquet", 2),
        ("train-00001-of-00002.parquet", 4),
    ]
    tokens = [shard["tokens"] for shard in facts["shards"]]
    trained = [shard["trained_tokens"] for shard in facts["shards"]]
    assert facts["sources"] == [
        {
            "name": name,
            "template": template,
            "record_format": record_format,
            "lines": rows,
            "blank": 0,
            "examples": rows,
            "dropped": {},
            "rejected": {},
            "rows": rows,
            "tokens": tokens[at],
            "trained_tokens": trained[at],
            "share_of_rows": round(rows / 6, 6),
            "share_of_tokens": round(tokens[at] / sum(tokens), 6),
        }
        for at, (name, template, record_format, rows) in enumerate(
            [("a.jsonl", "plain", "prompt_completion", 2), ("questions", "qa", "fields", 4)]
        )
    ]
    assert [(entry["file"], entry["source"]) for entry in facts["inputs"]] == [
        (str(tmp_path / "a.jsonl"), "a.jsonl"),
        (str(tmp_path / "b.jsonl"), "questions"),
    ]


def test_a_source_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records(*range(10)))
    (tmp_path / "b.jsonl").write_bytes(records(*range(20, 30)))
    sources = [{"inputs": [str(tmp_path / f"{name}.jsonl")]} for name in "ab"]
    out = prepared(tmp_path, [{**sources[0], "repeat": 2}, {**sources[1], "repeat": 1.5}])
    found = Counter(numbers(out))
    assert [found[n] for n in range(10)] == [2] * 10
    assert sorted(found[n] for n in range(20, 30)) == [1] * 5 + [2] * 5
    facts = manifest(out)
    assert (facts["counts"]["examples"], facts["counts"]["rows"], facts["counts"]["lines"]) == (20, 35, 20)
    assert [(source["examples"], source["rows"]) for source in facts["sources"]] == [(10, 20), (10, 15)]


def test_weights_are_shares_of_rows(tmp_path: Path) -> None:
    """60 rows at weight 1 beside 30 at weight 2: the mix is 15 and 30, and the same 15 of any order."""
    (tmp_path / "b.jsonl").write_bytes(records(*range(100, 130)))
    found = []
    for order in (range(60), reversed(range(60))):
        (tmp_path / "a.jsonl").write_bytes(records(*order))
        sources = [
            {"name": "a", "inputs": [str(tmp_path / "a.jsonl")], "weight": 1},
            {"name": "b", "inputs": [str(tmp_path / "b.jsonl")], "weight": 2},
        ]
        (tmp_path / "mix.yaml").write_text(yaml.safe_dump({"sources": sources, "template": "plain"}))
        made = load_config(str(tmp_path / "mix.yaml"), {"tokenizer": "demo"})
        out = tmp_path / "out"
        make(out, **{**msgspec.structs.asdict(made), "output": str(out)}, overwrite=True)
        found.append(sorted(numbers(out)))
        facts = manifest(out)
        assert [(one["rows"], one["dropped"], one["share_of_rows"]) for one in facts["sources"]] == [
            (15, {"mix_weight": 45}, 0.333333),
            (30, {}, 0.666667),
        ]
        assert facts["counts"]["dropped"] == {"mix_weight": 45}
    assert found[0] == found[1]
    assert found[0][15:] == list(range(100, 130))


def test_a_validation_row_stands_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records(*range(60)))
    out = prepared(
        tmp_path, [{"inputs": [str(tmp_path / "a.jsonl")], "repeat": 3}], val_size="25%", shuffle=True
    )
    train, held = Counter(numbers(out)), Counter(numbers(out, "validation"))
    assert set(train.values()) == {3}
    assert set(held.values()) == {1}
    assert sorted([*train, *held]) == list(range(60))
    assert manifest(out)["counts"]["examples"] == 60


@given(st.data())
def test_nothing_is_lost(data: st.DataObject) -> None:
    """M10 for every source and in all, whatever is asked for; and every row made again is found."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        sources = []
        weighted = data.draw(st.booleans())
        for number in range(data.draw(st.integers(1, 3))):
            rows = data.draw(st.lists(st.integers(0, 9), min_size=3, max_size=20))
            path = Path(folder) / f"{number}.jsonl"
            blank, bad = data.draw(st.booleans()), data.draw(st.booleans())
            lines = [b"\n" * blank, records(*rows), b"\n" * blank, b'{"prompt": 1}\n' * bad]
            path.write_bytes(b"".join(lines))
            source: dict[str, Any] = {
                "inputs": [str(path)],
                "repeat": data.draw(st.sampled_from([1, 1.5, 2])),
            }
            if weighted:
                source["weight"] = data.draw(st.integers(1, 3))
            if data.draw(st.booleans()):
                source["max_records"] = data.draw(st.integers(3, 9))
            sources.append(source)
        options: dict[str, Any] = {
            "shuffle": data.draw(st.booleans()),
            "dedup": data.draw(st.sampled_from(["none", "exact", "prompt", "near:0.5"])),
            "on_error": data.draw(st.sampled_from(["skip", "quarantine"])),
        }
        if data.draw(st.booleans()):
            options |= {"packing": data.draw(st.sampled_from(["bfd", "wrapped"])), "max_length": 32}
        try:
            out = prepared(Path(folder), sources, **options)
        except DataError as problem:  # the weights may leave no row
            assert str(problem).startswith("no row to write")  # noqa: PT017
            return
        facts = manifest(out)
        for counts in (facts["counts"], *facts["sources"]):
            parts = (
                counts["examples"],
                counts["blank"],
                *counts["dropped"].values(),
                *counts["rejected"].values(),
            )
            assert sum(parts) == counts["lines"]
        for name in ("lines", "blank", "examples"):
            assert sum(source[name] for source in facts["sources"]) == facts["counts"][name]
        assert check_sample(out, facts_in(out), 1_000, 0)[1] == []
        assert sum(shard["rows"] for shard in facts["shards"]) == facts["counts"]["rows"]
        assert not list(check_all(out, facts_in(out)))


def test_the_limits_and_the_rejects_are_those_of_all_sources(tmp_path: Path) -> None:
    """--limit counts the records of all, and a bad one of any is kept aside with its own file and line."""
    (tmp_path / "a.jsonl").write_bytes(records(1) + b"{}\n" + records(2))
    (tmp_path / "b.jsonl").write_bytes(records(3) + b"[]\n" + records(4, 5))
    sources = [{"inputs": [str(tmp_path / f"{name}.jsonl")]} for name in "ab"]
    out = prepared(tmp_path, sources, limit=6, on_error="quarantine", shuffle=True)
    assert sorted(numbers(out)) == [1, 2, 3, 4]
    rejects = [json.loads(line) for line in (out / "rejects.jsonl").read_bytes().splitlines()]
    assert [(Path(one["file"]).name, one["line"]) for one in rejects] == [("a.jsonl", 2), ("b.jsonl", 2)]
    assert [(one["lines"], one["rejected"]) for one in manifest(out)["sources"]] == [
        (3, {"missing_field": 1}),
        (3, {"not_object": 1}),
    ]


def test_no_line_is_read_behind_the_last_record_that_is_asked_for(tmp_path: Path) -> None:
    """Neither in the file that holds it nor in those of its source that follow; the next source is read."""
    for name, lines in {
        "a": b"\n" + records(1, 2) + b"\n\n" + records(3),
        "b": b"\n",
        "c": records(4),
    }.items():
        (tmp_path / f"{name}.jsonl").write_bytes(lines)
    files = [str(tmp_path / f"{name}.jsonl") for name in "abc"]
    out = prepared(tmp_path, [{"inputs": files[:2], "max_records": 2}, {"inputs": files[2:]}])
    assert numbers(out) == [1, 2, 4]
    assert [(one["lines"], one["blank"]) for one in manifest(out)["sources"]] == [(3, 1), (1, 0)]
    assert [shard["rows"] for shard in manifest(out)["shards"]] == [2, 0, 1]
    assert check_sample(out, facts_in(out), 1_000, 0) == (3, [])


def test_a_kept_field_is_of_one_type_in_all_sources(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl({"prompt": "a", "completion": "1", "id": 1}))
    (tmp_path / "b.jsonl").write_bytes(jsonl({"prompt": "b", "completion": "2", "id": "x"}))
    sources = [{"inputs": [str(tmp_path / f"{name}.jsonl")]} for name in "ab"]
    with pytest.raises(ConfigError) as refused:
        prepared(tmp_path, sources, keep=["id"])
    assert str(refused.value) == (
        "--keep id: is a whole number in source 'a.jsonl' and text in source 'b.jsonl'; a column has one "
        "type: make them alike, or leave it out"
    )


def test_a_kept_field_that_one_source_lacks_is_told_with_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl({"prompt": "a", "completion": "1", "id": 1}))
    (tmp_path / "b.jsonl").write_bytes(jsonl({"prompt": "b", "completion": "2", "idx": 1}))
    sources = [{"inputs": [str(tmp_path / f"{name}.jsonl")]} for name in "ab"]
    with pytest.raises(ConfigError) as refused:
        prepared(tmp_path, sources, keep=["id"])
    assert str(refused.value) == (
        "source 'b.jsonl': --keep id: the first records have no such field; did you mean 'idx'?"
    )


MISTAKES = {
    "unknown key": (
        "sources:\n- inputs: [a.jsonl]\n  tempalte: plain",
        "mix.yaml:3:3: unknown key 'sources[0].tempalte'; did you mean 'template'?",
    ),
    "key of the whole": (
        "sources:\n- inputs: [a.jsonl]\n- inputs: [b.jsonl]\n  seed: 1",
        "mix.yaml:4:3: unknown key 'sources[1].seed'; ",
    ),
    "no inputs": (
        "sources:\n- name: a",
        "mix.yaml:1:1: sources[0]: is missing inputs",
    ),
    "wrong type": (
        "sources:\n- inputs: [a.jsonl]\n  weight: much",
        "mix.yaml:3:3: sources[0].weight: expected a number, found text",
    ),
    "wrong choice": (
        "sources:\n- inputs: [a.jsonl]\n  train_on: assistent",
        "mix.yaml:3:3: sources[0].train_on: 'assistent' is not one of its values; did you mean 'assistant'?",
    ),
    "no list": ("sources: {inputs: [a.jsonl]}", "mix.yaml:1:1: sources: expected a list, found a map"),
    "inputs beside them": (
        "inputs: [b.jsonl]\nsources:\n- inputs: [a.jsonl]",
        "inputs: b.jsonl is given beside `sources`; make it a source of its own, or leave the config with "
        "the sources out",
    ),
    "empty inputs": ("sources:\n- inputs: []", "sources[0].inputs: names no file"),
    "no records": (
        "sources:\n- {inputs: [a.jsonl], max_records: 0}",
        "sources[0].max_records: expected 1 or more, found 0",
    ),
    "less than once": (
        "sources:\n- {inputs: [a.jsonl], repeat: 0.5}",
        "sources[0].repeat: expected 1 or more, found 0.5; "
        "to take less of a source, give all sources a weight",
    ),
    "for ever": (
        "sources:\n- {inputs: [a.jsonl], repeat: .inf}",
        "sources[0].repeat: expected 1 or more, found inf; "
        "to take less of a source, give all sources a weight",
    ),
    "no weight": (
        "sources:\n- {inputs: [a.jsonl], weight: 0}",
        "sources[0].weight: expected a number above 0, found 0",
    ),
    "a weight is missing": (
        "sources:\n- {inputs: [a.jsonl], weight: 1}\n- {inputs: [b.jsonl]}",
        "sources[1].weight: is missing; a weight is a share of all rows, so each source has one",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    text, message = MISTAKES[case]
    Path("mix.yaml").write_text(text + "\n")
    with pytest.raises(ConfigError) as refused:
        load_config("mix.yaml", {})
    assert str(refused.value).startswith(message)


def test_a_key_with_a_dash_is_the_same_key(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("sources:\n- {inputs: [a.jsonl], max-records: 3, train-on: last}\n")
    config = load_config(str(tmp_path / "mix.yaml"), {})
    assert config.sources == [SourceOptions(inputs=["a.jsonl"], max_records=3, train_on="last")]


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records(1))
    source = {"inputs": [str(tmp_path / "a.jsonl")]}
    with pytest.raises(ConfigError) as refused:
        prepared(tmp_path, [source, {**source, "inputs": [*source["inputs"]]}])
    assert str(refused.value) == (
        "sources[1]: is named 'a.jsonl', and so is sources[0]; give it another `name`"
    )


def test_stats_says_that_it_reads_no_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    told = (
        "error: the config has `sources`, which prepare and inspect read; give this command a config without "
        "them, with the inputs and options of one source\n"
    )
    assert sftcli_here("stats", "--config", "configs/mix.yaml") == Ended(2, "", told)


# The whole of it


def test_the_ready_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    load = load_config("configs/mix.yaml", {"output": str(tmp_path / "out")})
    make(tmp_path / "out", **msgspec.structs.asdict(load))
    facts = manifest(tmp_path / "out")
    assert [(source["name"], source["examples"]) for source in facts["sources"]] == [
        ("problems", 96),
        ("chats", 16),
    ]
    assert facts["counts"]["dropped"] == {"mix_weight": 104}
    assert not list(check_all(tmp_path / "out", facts_in(tmp_path / "out")))


def test_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    found = []
    for seed in ("0", "1"):
        code = (
            "from sftcli.cli import main\nimport sys\n"
            "sys.argv = ['sftcli', 'prepare', '--config', 'configs/mix.yaml', '--quiet', '-o', sys.argv[1]]\n"
            "main()"
        )
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(CONFIGS.parent)}
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", code, str(out)], cwd=CONFIGS.parent, env=environment, check=True
        )
        found.append(tree(out))
    assert found[0] == found[1]


def test_killed_in_the_second_pass(tmp_path: Path) -> None:
    """The old dataset stays, and the next run finds its way past what was left."""
    (tmp_path / "old.jsonl").write_bytes(records(1, 2, 3))
    (tmp_path / "new.jsonl").write_bytes(records(*range(50)))
    out = tmp_path / "out"
    make(out, tmp_path / "old.jsonl", template="plain")
    before = tree(out)
    code = (
        "import os, signal, sys\nfrom sftcli.arrange.spill import Spill\n"
        "from sftcli.config import Config\nfrom sftcli.pipeline import prepare\n"
        "Spill.rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "options = dict(tokenizer='demo', template='plain', shuffle=True)\n"
        "prepare(Config(inputs=[sys.argv[1]], output=sys.argv[2], **options), overwrite=True)"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    command = [sys.executable, "-c", code, str(tmp_path / "new.jsonl"), str(out)]
    ended = subprocess.run(command, env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert {name: raw for name, raw in tree(out).items() if not name.startswith(".staging/")} == before
    make(out, tmp_path / "new.jsonl", template="plain", shuffle=True, overwrite=True)
    assert sorted(numbers(out)) == list(range(50))
    assert not (out / ".staging").exists()


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_folder_is_checked_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here, format_: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_bytes((EXAMPLES / "alpaca.jsonl").read_bytes())
    options = {"template": "alpaca", "val_size": "20%", "shuffle": True, "dedup": "prompt", "format": format_}
    make("out", "in.jsonl", **options)
    for command in (("verify", "out"), ("verify", "out", "--deep", "all"), ("inspect", "out", "--row", "-1")):
        ended = sftcli_here(*command)
        assert (ended.code, ended.err) == (0, "")
    assert not json.loads(sftcli_here("verify", "out", "--deep", "5", "--format", "json").out)["findings"]

"""`sftcli verify`: every fault of a folder is found, named with its place, and nothing else is."""

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import BAD, CONFIGS, EXAMPLES, TALKS, Ended, Here, chat, make, manifest, run_sftcli, write
from hypothesis import given
from hypothesis import strategies as st
from test_cli import imported

from sftcli.errors import EnvironmentFault, UsageError
from sftcli.layout import Layout
from sftcli.manifest import file_facts, is_sealed, pretty_json, sealed
from sftcli.rules.folder import RULES
from sftcli.verify import Asked, verify
from sftcli.verify.facts import read_facts
from sftcli.verify.rows import Contract, check_unit
from sftcli.view.shards import Shard

PROBLEMS = EXAMPLES / "gsm8k.jsonl"
QA = str(CONFIGS / "templates" / "qa.yaml")
SHARD = {"parquet": "train-00000-of-00001.parquet", "arrow": "data-00000-of-00001.arrow"}
AGAIN = "prepare the folder again"
OR_COPY = f"{AGAIN}, or fetch an undamaged copy"
Rows = list[dict[str, Any]]

_WARNINGS = {rule.code for rule in RULES if rule.severity == "warning"}


@pytest.fixture(scope="module", params=["parquet", "arrow"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rows in each format; not to be changed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    make(out, PROBLEMS, template=QA, format=request.param)
    return out


def found_in(out: Path, **asked: Any) -> list[tuple[str, str, str]]:
    """(file in the folder, code, message) of what is found."""
    found = verify([str(out)], Asked(**asked), 1_000)
    assert found.counts.total() == len(found.kept)
    return [(one.file.removeprefix(f"{out}/"), one.code, one.message) for one in found.kept]


def codes_in(out: Path, **asked: Any) -> list[str]:
    return [code for _, code, _ in found_in(out, **asked)]


def reseal(out: Path, edit: Callable[[dict[str, Any]], object] = lambda facts: None) -> None:
    """Write the manifest anew, with the files as they are now, so that what is in them is looked at."""
    facts = manifest(out)
    facts.pop("sha256", None)
    facts["files"] = {name: file_facts(out / name) for name in facts["files"] if (out / name).exists()}
    edit(facts)
    (out / "manifest.json").write_bytes(pretty_json(sealed(facts)))


def shard_of(out: Path) -> Path:
    return next(path for path in out.iterdir() if path.suffix in (".parquet", ".arrow"))


def put_table(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def table_of(out: Path) -> pa.Table:
    path = shard_of(out)
    return (
        pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()
    )


# Nothing wrong


CLEAN: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "chatml": (TALKS, {"template": "chatml"}),
    "arrow, packed bytes": (TALKS, {"template": "chatml", "format": "arrow", "compression": "zstd"}),
    "a prompt template": ([{"question": "a", "answer": "b"}], {"template": QA}),
    "the tokenizer's own template": (TALKS, {}),
    "new tokens": (
        TALKS,
        {"template": "gemma", "add_special_tokens": ["<start_of_turn>"], "eos_token": "<end_of_turn>"},
    ),
    "bad records left out": (BAD, {"template": "chatml", "on_error": "skip"}),
    "bad records kept": (BAD, {"template": "chatml", "on_error": "quarantine"}),
    "long rows dropped": ([*TALKS, chat("Hi", "Hello " * 50)], {"template": "chatml", "max_length": 40}),
    "the first records": ([*TALKS * 5], {"template": "chatml", "limit": 7}),
    "fields of other names": (
        [{"q": "a", "a": "b"}],
        {"template": "alpaca", "field": {"instruction": "q", "output": "a"}},
    ),
    "segments": ([{"segments": [{"text": "a", "label": False}, {"text": "b", "label": True}]}], {}),
    "all trained": (TALKS, {"template": "chatml", "train_on": "all", "train_on_eos": "all"}),
}


@pytest.mark.parametrize("deep", [None, 1_000, "all"])
@pytest.mark.parametrize("case", CLEAN)
def test_what_was_prepared_is_fine(tmp_path: Path, case: str, deep: Any) -> None:
    records, options = CLEAN[case]
    if "tokenizer" in case:
        options = {**options, "tokenizer": str(with_template(tmp_path))}
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *records), **options)
    found = verify([str(out)], Asked(deep=deep, strict_inputs=True), 10)
    assert found.kept == []
    assert (found.records, found.files[0]) == (manifest(out)["counts"]["rows"], str(out / "manifest.json"))
    assert sorted(found.files) == sorted(str(path) for path in out.rglob("*") if path.is_file())
    assert (
        found.notes
        == {
            None: ["the inputs are as they were"],
            1_000: [
                "the inputs are as they were",
                f"{found.records} row{'s' * (found.records > 1)} made again (seed 0)",
            ],
            "all": ["the inputs are as they were", "all rows were made again"],
        }[deep]
    )


def with_template(folder: Path) -> Path:
    """The demo tokenizer with a chat template of its own."""
    from sftcli.tokenizer import load_tokenizer

    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (folder / "own").mkdir()
    for name, raw in load_tokenizer("demo").with_chat_template(source).items():
        (folder / "own" / name).write_bytes(raw)
    return folder / "own"


def test_a_jinja_file_need_not_be_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_bytes((with_template(tmp_path) / "chat_template.jinja").read_bytes())
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", *TALKS), template=str(path))
    path.unlink()
    for deep in (5, "all"):
        assert found_in(out, deep=deep) == []


def test_several_inputs_and_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, records in (("a", TALKS), ("b", [*BAD, *TALKS]), ("c", [chat("x", "y")])):
        write(Path(f"{name}.jsonl"), *records)
    make("out", "[a-c].jsonl", template="chatml", on_error="skip")
    assert [found_in(Path("out"), deep=deep) for deep in (2, 50, "all")] == [[], [], []]
    write(Path("d.jsonl"), *TALKS)  # the pattern would take it now
    assert found_in(Path("out"), deep="all") == []
    table = pq.read_table("out/train-00002-of-00003.parquet")
    labels = [[*row[:-2], -100, -100] for row in table["labels"].to_pylist()]
    table = table.set_column(2, "labels", pa.array(labels, pa.list_(pa.int32())))
    pq.write_table(table, "out/train-00002-of-00003.parquet")
    reseal(Path("out"))
    assert [code for _, code, _ in found_in(Path("out"))] == ["V016"]
    message = f"the row of this record, made again, has other labels in out; {AGAIN}"
    reseal(
        Path("out"),
        lambda facts: [
            part.update(trained_tokens=part["trained_tokens"] - 1)
            for part in (facts["shards"][2], facts["counts"])
        ],
    )
    found = verify(["out"], Asked(deep=50), 10)
    assert [(one.place, one.code, one.message) for one in found.kept] == [("c.jsonl:1", "V023", message)]


# Files


def damage(out: Path, name: str, how: Callable[[bytes], bytes]) -> None:
    (out / name).write_bytes(how((out / name).read_bytes()))


def test_a_file_that_is_missing_short_or_changed(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    shard = shard_of(out).name
    size = (out / shard).stat().st_size
    (out / "README.md").unlink()
    (out / "README.md").mkdir()
    (out / "tokenizer" / "tokenizer_config.json").unlink()
    damage(out, shard, lambda raw: raw[:-1])
    assert found_in(out) == [
        ("README.md", "V003", f"is not a plain file, and the manifest lists it; {OR_COPY}"),
        ("tokenizer/tokenizer_config.json", "V003", f"is missing, and the manifest lists it; {OR_COPY}"),
        (shard, "V004", f"has {size - 1:,} bytes, and the manifest says {size:,}; {OR_COPY}"),
    ]


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(talks: Path) -> None:
    (talks / "README.md").unlink()
    os.mkfifo(talks / "README.md")
    assert codes_in(talks) == ["V003"]


def test_files_that_are_not_listed_are_warnings(talks: Path) -> None:
    for name in ("notes.txt", "tokenizer/vocab.json", ".staging/new/half.parquet", ".hidden"):
        (talks / name).parent.mkdir(parents=True, exist_ok=True)
        (talks / name).write_text("mine")
    stray = "is not listed in the manifest, and some readers take every file; move it elsewhere"
    assert found_in(talks) == [
        (
            *(".staging", "V020"),
            "left behind by a run that was killed, unless one is writing here now; "
            "delete it, or let the next `sftcli prepare` do so",
        ),
        *((name, "V019", stray) for name in (".hidden", "notes.txt", "tokenizer/vocab.json")),
    ]


@pytest.mark.parametrize("name", ["train-00001-of-00002.parquet", "data/x.arrow", "more.npy"])
def test_rows_that_are_not_listed_are_errors(talks: Path, name: str) -> None:
    """load_dataset reads `train-*.parquet`, whatever the manifest says."""
    (talks / name).parent.mkdir(exist_ok=True)
    shutil.copy(shard_of(talks), talks / name)
    told = "is not listed in the manifest, and is read with the shards; move it elsewhere"
    assert found_in(talks) == [(name, "V030", told)]


def test_every_flipped_byte_is_found(whole: Path, tmp_path: Path) -> None:
    """At 100 random places, in every file; see also the next test."""
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    draw = random.Random(5)
    for number in range(100):
        name = (
            names[number % len(names)] if number < 50 else draw.choice([shard_of(out).name, "manifest.json"])
        )
        before = (out / name).read_bytes()
        at = draw.randrange(len(before))
        flipped = before[at] ^ draw.randrange(1, 256)
        (out / name).write_bytes(before[:at] + bytes([flipped]) + before[at + 1 :])
        found = found_in(out)
        assert {code for file, code, _ in found if file == name} & {"V001", "V002", "V005"}, (
            name,
            at,
            flipped,
        )
        (out / name).write_bytes(before)
    assert found_in(out) == []


def test_every_byte_of_a_manifest_counts(talks: Path) -> None:
    path = talks / "manifest.json"
    before = path.read_bytes()
    assert is_sealed(json.loads(before), before)
    draw = random.Random(6)
    for at in range(len(before)):
        path.write_bytes(before[:at] + bytes([before[at] ^ draw.randrange(1, 256)]) + before[at + 1 :])
        facts, found = read_facts(talks)
        codes = {one.code for one in found}
        assert codes in ({"V001"}, {"V002"}, {"V001", "V002"}), at
        assert (facts is None) == ("V001" in codes)
    for changed in (before + b" ", before[:-1], before.replace(b'": ', b'":', 1), b"{}", b"", b"[" * 100_000):
        path.write_bytes(changed)
        assert read_facts(talks)[1], changed[:40]


# The manifest


def _shards(facts: dict[str, Any], **values: Any) -> None:
    facts["shards"][0].update(values)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], object], list[tuple[str, str]]]] = {
    "lines": (
        lambda facts: facts["counts"].update(lines=5, blank=1),
        [
            (
                "V017",
                f"5 lines were read, and 4 accounted for (3 rows, 0 dropped, 0 rejected, 1 blank); {AGAIN}",
            )
        ],
    ),
    "dropped": (
        lambda facts: facts["counts"].update(dropped={"too_long": 2}),
        [
            (
                "V017",
                f"3 lines were read, and 5 accounted for (3 rows, 2 dropped, 0 rejected, 0 blank); {AGAIN}",
            )
        ],
    ),
    "tokens": (
        lambda facts: facts["counts"].update(tokens=61),
        [("V017", f"its counts say 61 tokens, and its shards add up to 68; {AGAIN}")],
    ),
    "rows of a shard": (
        lambda facts: _shards(facts, rows=4),
        [
            ("V017", f"its counts say 3 rows, and its shards add up to 4; {AGAIN}"),
            ("V015", f"has 3 rows, and the manifest says 4; {AGAIN}"),
        ],
    ),
    "tokens of a shard": (
        lambda facts: (_shards(facts, trained_tokens=15), facts["counts"].update(trained_tokens=15)),
        [("V016", f"has 68 tokens, 18 of them trained, and the manifest says 68 and 15; {AGAIN}")],
    ),
    "a negative count": (
        lambda facts: facts["counts"].update(blank=-1),
        [("V001", f"no manifest of sftcli: Expected `int` >= 0 - at `$.counts.blank`; {OR_COPY}")],
    ),
    "a missing key": (
        lambda facts: facts.pop("shards"),
        [("V001", f"no manifest of sftcli: Object missing required field `shards`; {OR_COPY}")],
    ),
    "another format": (
        lambda facts: facts.update(format_version=2, sftcli="9.0"),
        [
            (
                "V001",
                "has the format 2, and sftcli 9.0 made it; this sftcli reads format 1: "
                "take the one that made it",
            )
        ],
    ),
    "files elsewhere": (
        lambda facts: facts["files"].update(
            {"../talks.jsonl": facts["files"]["README.md"], "/dev/zero": {"bytes": 0, "sha256": ""}}
        ),
        [
            ("V001", f"lists '../talks.jsonl', which names no file in this folder; {OR_COPY}"),
            ("V001", f"lists '/dev/zero', which names no file in this folder; {OR_COPY}"),
        ],
    ),
    "a shard that is no file": (
        lambda facts: _shards(facts, file="x.parquet"),
        [
            ("V001", f"lists the shard 'x.parquet', and not its size and sha256; {OR_COPY}"),
            (
                "V001",
                f"lists the file 'train-00000-of-00001.parquet', and not how many rows it has; {OR_COPY}",
            ),
        ],
    ),
    "a shard that is there twice": (
        lambda facts: facts["shards"].append(facts["shards"][0]),
        [("V001", f"lists the shard 'train-00000-of-00001.parquet' 2 times; {OR_COPY}")],
    ),
    "a shard that is not counted": (
        lambda facts: facts["files"].update({"x.parquet": facts["files"]["README.md"]}),
        [("V001", f"lists the file 'x.parquet', and not how many rows it has; {OR_COPY}")],
    ),
    "another tokenizer": (
        lambda facts: facts["tokenizer"].update(size=4097),
        [("V018", f"has 4,096 ids, and the manifest says 4,097; {OR_COPY}")],
    ),
    "no tokenizer": (
        lambda facts: facts["files"].pop("tokenizer/tokenizer.json"),
        [
            ("V018", f"is not listed in the manifest; {OR_COPY}"),
            ("V019", "is not listed in the manifest, and some readers take every file; move it elsewhere"),
        ],
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_says_what_is_not_so(talks: Path, case: str) -> None:
    edit, expected = MANIFESTS[case]
    reseal(talks, edit)
    assert [(code, message) for _, code, message in found_in(talks)] == expected


def test_a_manifest_of_before_manifests_had_a_checksum(talks: Path) -> None:
    facts = manifest(talks)
    del facts["sha256"]
    (talks / "manifest.json").write_bytes(pretty_json(facts))
    assert found_in(talks) == [
        ("manifest.json", "V002", f"not as it was written: its checksum does not fit; {OR_COPY}")
    ]


def test_another_tokenizer_in_the_folder(talks: Path) -> None:
    damage(talks, "tokenizer/tokenizer.json", lambda raw: raw + b" ")
    reseal(talks)
    [(name, code, message)] = found_in(talks)
    assert (name, code) == ("tokenizer/tokenizer.json", "V018")
    assert message.startswith("is not the tokenizer that made the rows: its sha256 is ")
    damage(talks, "tokenizer/tokenizer.json", lambda raw: b"{")
    digest = file_facts(talks / "tokenizer/tokenizer.json")["sha256"]
    reseal(talks, lambda facts: facts["tokenizer"].update(sha256=digest))
    [(name, code, message)] = found_in(talks)
    assert code == "V018"
    assert message.startswith("cannot be loaded: ")


def test_no_manifest_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").write_text("")
    make("out", write(Path("in.jsonl"), *TALKS), template="chatml")
    for name, error, message in [
        (
            *("empty", EnvironmentFault),
            "empty: incomplete: it has no manifest.json, so no run has come to its end here; run the same "
            "`sftcli prepare ... -o empty` again",
        ),
        ("none", UsageError, "none: no such folder; name the folder that `sftcli prepare -o` wrote"),
        ("file", UsageError, "file: a file, not a folder; name the folder that `sftcli prepare -o` wrote"),
    ]:
        with pytest.raises(error) as problem:
            verify(["out", name], Asked(), 10)
        assert str(problem.value) == message


# Rows


COLUMNS = {
    **{
        "input_ids": pa.list_(pa.int32()),
        "attention_mask": pa.list_(pa.int8()),
        "labels": pa.list_(pa.int32()),
    },
    **{"position_ids": pa.list_(pa.int32()), "seq_lengths": pa.list_(pa.int32())},
}


def row_of(
    ids: list[int], labels: list[int], mask: list[int] | None = None, **more: list[int]
) -> dict[str, Any]:
    return {"input_ids": ids, "attention_mask": mask or [1] * len(ids), "labels": labels, **more}


def packed(
    parts: list[int], positions: list[int], labels: list[int] | None = None, pads: int = 0
) -> dict[str, Any]:
    size = sum(parts)
    ids = [*range(3, 3 + size), *[0] * pads]
    labels = labels or [-100 if positions[i] == 0 else ids[i] for i in range(size)]
    return row_of(
        *(ids, labels + [-100] * pads, [1] * size + [0] * pads),
        position_ids=[*positions, *range(pads)],
        seq_lengths=parts,
    )


def put_rows(out: Path, rows: Rows) -> None:
    """These rows in the place of the folder's, with a manifest that counts them and says how they lie."""
    types = (
        Layout().schema
        if set(rows[0]) == set(Layout().names)
        else [(name, COLUMNS[name]) for name in rows[0]]
    )
    masks = [row["attention_mask"] or [] for row in rows]
    options = {
        "packing": "bfd" if "seq_lengths" in rows[0] else "none",
        "max_length": max(map(len, masks)),
        "pad": "max-length" if any(0 in mask for mask in masks) else "none",
        "padding_side": "left" if masks[0][:1] == [0] else "right",
    }
    put_table(shard_of(out), pa.Table.from_pylist(rows, schema=pa.schema(types)))
    tokens = sum(sum(value != 0 for value in row["attention_mask"] or []) for row in rows)
    trained = sum(label not in (-100, None) for row in rows for label in row["labels"] or [])
    counts = {"rows": len(rows), "tokens": tokens, "trained_tokens": trained}
    examples = sum(len(row.get("seq_lengths", [0])) for row in rows)
    of_lines = {"lines": examples, "examples": examples}

    def edit(facts: dict[str, Any]) -> None:
        facts["counts"].update(of_lines | counts)
        facts["config"].update(options)
        _shards(facts, **counts)

    reseal(out, edit)


GOOD = row_of([5, 6, 7], [-100, 6, 7])
SEE = "; see `sftcli inspect out --row {}`; " + AGAIN
ROWS: dict[str, tuple[Rows, list[tuple[str, str]]]] = {
    "fine": ([GOOD, row_of([5], [5]), row_of([4095], [4095])], []),
    "fine, padded": ([row_of([5, 6, 0], [-100, 6, -100], [1, 1, 0]), GOOD], []),
    "fine, padded on the left": ([row_of([0, 5, 6], [-100, 5, 6], [0, 1, 1]), GOOD], []),
    "padded on the other side": (
        [GOOD, row_of([5, 6, 0], [-100, 6, -100], [1, 1, 0]), row_of([0, 5, 6], [-100, 5, 6], [0, 1, 1])],
        [("V013", "row 2: its padding is not on the right" + SEE.format(2))],
    ),
    "fine, packed": ([packed([3, 2], [0, 1, 2, 0, 1]), packed([5], [0, 1, 2, 3, 4])], []),
    "fine, packed and padded": ([packed([3, 2], [0, 1, 2, 0, 1], pads=2), packed([2], [0, 1], pads=5)], []),
    "a label that is another id": (
        [GOOD, row_of([5, 6, 7], [-100, 6, 8]), row_of([9, 9], [8, 9])],
        [
            (
                "V010",
                "row 1: token 2 has the id 7 and the label 8, which should be 7 or -100 (and in 1 more row)"
                + SEE.format(1),
            )
        ],
    ),
    "a label of -99": (
        [row_of([5, 6], [-99, 6])],
        [
            (
                "V010",
                "row 0: token 0 has the id 5 and the label -99, which should be 5 or -100" + SEE.format(0),
            )
        ],
    ),
    "labels moved by one": (
        [row_of([5, 6, 7], [6, 7, -100])],
        [("V010", "row 0: token 0 has the id 5 and the label 6, which should be 5 or -100" + SEE.format(0))],
    ),
    "trained padding": (
        [row_of([5, 6, 9], [-100, 6, 9], [1, 1, 0])],
        [("V010", "row 0: token 2 is padding, and has a label other than -100" + SEE.format(0))],
    ),
    "nothing trained": (
        [GOOD, GOOD, row_of([5, 6], [-100, -100]), GOOD, row_of([], [])],
        [("V011", "row 2: no token is trained (and in 1 more row)" + SEE.format(2))],
    ),
    "an id too large": (
        [GOOD, row_of([4096, 6], [-100, 6])],
        [("V012", "row 1: token 0 has the id 4096, and the tokenizer 4,096 ids from 0 on" + SEE.format(1))],
    ),
    "an id below 0": (
        [row_of([6, -1], [6, -1])],
        [("V012", "row 0: token 1 has the id -1, and the tokenizer 4,096 ids from 0 on" + SEE.format(0))],
    ),
    "a mask of 2": (
        [row_of([5, 6], [-100, 6], [2, 1])],
        [("V013", "row 0: its attention mask holds 2" + SEE.format(0))],
    ),
    "padding amid a row": (
        [GOOD, row_of([5, 0, 6], [-100, -100, 6], [1, 0, 1])],
        [("V013", "row 1: its padding is not at one end" + SEE.format(1))],
    ),
    "padding at both ends": (
        [row_of([0, 6, 0], [-100, 6, -100], [0, 1, 0])],
        [("V013", "row 0: its padding is not at one end" + SEE.format(0))],
    ),
    "a null row": ([GOOD, {**GOOD, "labels": None}], [("V008", f"row 1: labels is null; {AGAIN}")]),
    "a null token": (
        [GOOD, {**GOOD, "input_ids": [5, None, 7]}, {**GOOD, "input_ids": [None, None, 7]}],
        [("V008", f"row 1: input_ids holds a null (and in 1 more row); {AGAIN}")],
    ),
    "a label too few": (
        [GOOD, row_of([5, 6, 7], [-100, 6])],
        [("V009", f"row 1: input_ids has 3 values, and labels 2; {AGAIN}")],
    ),
    "a mask too long": (
        [row_of([5], [5], [1, 1])],
        [("V009", f"row 0: input_ids has 1 value, and attention_mask 2; {AGAIN}")],
    ),
    "lengths that only add up": (
        [row_of([5, 6], [-100], [1, 1]), row_of([7], [7, 7], [1])],
        [("V009", f"row 0: input_ids has 2 values, and labels 1 (and in 1 more row); {AGAIN}")],
    ),
    "parts that do not add up": (
        [packed([3, 2], [0, 1, 2, 0, 1]) | {"seq_lengths": [3, 3]}],
        [("V014", "row 0: its seq_lengths add up to 6, and it has 5 tokens" + SEE.format(0))],
    ),
    "a part of no tokens": (
        [packed([3, 2], [0, 1, 2, 0, 1]) | {"seq_lengths": [3, 0, 2]}],
        [("V014", "row 0: a part of it has 0 tokens" + SEE.format(0))],
    ),
    "positions that run on": (
        [packed([5], [0, 1, 2, 3, 4]), packed([3, 2], [0, 1, 2, 3, 4], labels=[-100, 4, 5, -100, 7])],
        [("V014", "row 1: token 3 has the position id 3" + SEE.format(1))],
    ),
    "positions that begin anew inside a part": (
        [packed([5], [0, 1, 0, 1, 2])],
        [("V014", "row 0: token 2 has the position id 0" + SEE.format(0))],
    ),
    "positions that skip": (
        [packed([3], [0, 2, 3])],
        [("V014", "row 0: token 1 has the position id 2" + SEE.format(0))],
    ),
    "a later part whose first label is trained": (
        [packed([3, 2], [0, 1, 2, 0, 1], labels=[-100, 4, 5, 6, 7])],
        [("V014", "row 0: token 3 begins a later packed row, and is trained" + SEE.format(0))],
    ),
}


@pytest.mark.parametrize("format_", SHARD)
@pytest.mark.parametrize("case", ROWS)
def test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, format_: str) -> None:
    monkeypatch.chdir(tmp_path)
    rows, expected = ROWS[case]
    make("out", write(Path("in.jsonl"), *TALKS), template="chatml", format=format_)
    put_rows(Path("out"), rows)
    assert found_in(Path("out")) == [(SHARD[format_], code, message) for code, message in expected]


COLUMN_FAULTS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "missing": (
        lambda table: table.drop_columns(["attention_mask"]),
        "its columns are input_ids, labels, and should be input_ids, attention_mask, labels",
    ),
    "unknown": (
        lambda table: table.append_column("text", pa.array(["x"] * len(table))),
        "its columns are input_ids, attention_mask, labels, text, "
        "and should be input_ids, attention_mask, labels",
    ),
    "of other numbers": (
        lambda table: table.set_column(2, "labels", table["labels"].cast(pa.list_(pa.int64()))),
        "its column labels is list<int64>, and should be list<int32>",
    ),
    "no lists": (
        lambda table: table.set_column(0, "input_ids", pa.array([7] * len(table), pa.int32())),
        "its column input_ids is int32, and should be list<int32>",
    ),
    "large lists": (
        lambda table: table.set_column(2, "labels", table["labels"].cast(pa.large_list(pa.int32()))),
        "its column labels is large_list<int32>, and should be list<int32>",
    ),
}


@pytest.mark.parametrize("case", COLUMN_FAULTS)
def test_columns(whole: Path, tmp_path: Path, case: str) -> None:
    edit, message = COLUMN_FAULTS[case]
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    put_table(shard_of(out), edit(table_of(out)))
    reseal(out)
    assert found_in(out) == [(shard_of(out).name, "V007", f"{message}; {AGAIN}")]


def test_a_shard_that_is_none(whole: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    name = shard_of(out).name
    for raw in (b"", b"hello", b"PAR1" * 10, (out / name).read_bytes()[:-20]):
        (out / name).write_bytes(raw)
        reseal(out)
        [(file, code, message)] = found_in(out)
        assert (file, code) == (name, "V006"), raw
        assert message.endswith(f"; {AGAIN}")


def test_an_arrow_stream_whose_offsets_lead_out_of_its_memory(tmp_path: Path) -> None:
    """Its hash fits, so whoever made it meant it; nothing outside may be read."""
    out = tmp_path / "out"
    make(out, PROBLEMS, template=QA, format="arrow")
    table = table_of(out).combine_chunks()
    ids = table["input_ids"].chunk(0)
    offsets = ids.offsets.to_numpy().copy()
    offsets[3] = 1 << 30
    forged = pa.Array.from_buffers(ids.type, len(ids), [None, pa.py_buffer(offsets)], children=[ids.values])
    put_table(shard_of(out), table.set_column(0, "input_ids", forged))
    reseal(out)
    [(_, code, message)] = found_in(out)
    assert code == "V006"
    assert "offset" in message


# The quick checks against slow ones


def slow_faults(rows: Rows, vocabulary: int) -> dict[str, list[int]]:
    """The rows that break each rule, looked at one by one."""
    faults: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        ids, labels, mask = row["input_ids"], row["labels"], row["attention_mask"]
        broken = {
            "V009": not len(ids) == len(labels) == len(mask),
            "V010": any(
                label != -100 and (label != own or real == 0)
                for own, label, real in zip(ids, labels, mask, strict=False)
            ),
            "V011": all(label == -100 for label in labels),
            "V012": any(not 0 <= own < vocabulary for own in ids),
            "V013": not set(mask) <= {1},
        }  # fmt: skip
        for code, there in broken.items():
            if there:
                faults.setdefault(code, []).append(number)
    return {"V009": faults["V009"]} if "V009" in faults else faults


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    """Rows of which some are broken in some way."""
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        ids = draw(st.lists(st.integers(0, 9), max_size=5))
        labels = [own if draw(st.booleans()) else -100 for own in ids]
        row = row_of(ids, labels, [1] * len(ids))
        how = draw(st.sampled_from(["", "", "id", "label", "mask", "longer"]))
        if how and ids:
            at = draw(st.integers(0, len(ids) - 1))
            if how == "longer":
                row[draw(st.sampled_from(list(row)))] = [1] * (len(ids) + 1)
            else:
                name = {"id": "input_ids", "label": "labels", "mask": "attention_mask"}[how]
                row[name][at] = draw(st.integers(-2, 12) if how != "mask" else st.integers(0, 2))
        rows.append(row)
    return rows


@given(any_rows())
def test_the_quick_checks_find_what_slow_ones_find(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.arrow"
        put_table(path, pa.Table.from_pylist(rows, schema=Layout().schema))
        check = check_unit(Shard(path), 0, Contract(10))
    slow = slow_faults(rows, 10)
    assert {code: (fault.rows, fault.first) for code, fault in check.faults.items()} == {
        code: (len(numbers), numbers[0]) for code, numbers in slow.items()
    }
    assert check.rows == len(rows)


# Made again


def change_row(out: Path, number: int, column: str, change: Callable[[list[int]], list[int]]) -> None:
    rows = table_of(out).to_pylist()
    rows[number][column] = change(rows[number][column])
    put_rows(out, rows)


def test_rows_that_come_out_otherwise(talks: Path) -> None:
    for column, what, other in (
        ("labels", "has other labels", "has other labels"),
        ("input_ids", "is not there", "has other tokens"),
    ):
        shutil.rmtree("out")
        make("out", "talks.jsonl", template="chatml")
        if column == "labels":
            change_row(
                talks,
                1,
                "labels",
                lambda labels: [-100 if label == max(labels) else label for label in labels],
            )
        else:
            change_row(talks, 1, "input_ids", lambda ids: [ids[0], 5, *ids[2:]])
        assert found_in(talks) == []
        found = verify(["out"], Asked(deep=3), 10)
        message = f"the row of this record, made again, {what} in out; {AGAIN}"
        assert [(one.place, one.code, one.message) for one in found.kept] == [
            ("talks.jsonl:2", "V023", message)
        ]
        assert found_in(talks, deep="all") == [
            (SHARD["parquet"], "V023", f"made again, row 1 of this shard {other}; {AGAIN}")
        ]


def test_a_sample_is_drawn_by_its_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 rows are wrong of 200; a sample of 10 finds those of them that it draws."""
    monkeypatch.chdir(tmp_path)
    make("out", PROBLEMS, template=QA)
    rows = table_of(Path("out")).to_pylist()
    for row in rows[::5]:
        row["input_ids"][0] = 9
    put_rows(Path("out"), rows)
    for seed in range(3):
        drawn = sorted(random.Random(seed).sample(range(200), 10))
        found = verify(["out"], Asked(deep=10, seed=seed), 100)
        assert [one.line for one in found.kept] == [line + 1 for line in drawn if line % 5 == 0]
        assert found.notes[-1] == f"10 rows made again (seed {seed})"


def test_rows_that_are_not_made_any_more_or_only_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make("out", write(Path("in.jsonl"), *TALKS), template="chatml")
    out = Path("out")
    rows = table_of(out).to_pylist()
    put_rows(out, rows[:2])
    reseal(out, lambda facts: facts["counts"].update(lines=3, dropped={"too_long": 1}))
    assert [message for _, _, message in found_in(out, deep="all")] == [
        f"made again, row 2 of this shard is made now, and was not then; {AGAIN}",
        f"its counts say 1 too_long dropped, and made again there are none; {AGAIN}",
    ]
    reseal(out, lambda facts: facts["counts"].update(dropped={}))
    put_rows(out, [*rows, rows[0]])
    assert [message for _, _, message in found_in(out, deep="all")] == [
        f"made again, row 3 of this shard is not made any more; {AGAIN}",
        f"its counts say 4 lines, and made again there are 3; {AGAIN}",
    ]


def test_records_that_are_left_out_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    source = write(Path("in.jsonl"), TALKS[0], chat("Hi", "Hello " * 50), {"messages": []})
    make(out, source, template="chatml", on_error="skip")
    reseal(
        out,
        lambda facts: (facts["config"].update(min_trained=10), facts["counts"].update(rejected={}, blank=1)),
    )
    found = verify(["out"], Asked(deep=3), 10)
    assert [(one.place, one.message) for one in found.kept] == [
        ("in.jsonl:3", f"this record is rejected now (empty_messages), and none was then; {AGAIN}"),
        ("in.jsonl:1", f"this record is dropped now (few_trained_tokens), and none was then; {AGAIN}"),
    ]


def test_inputs_that_make_no_row_any_more(talks: Path) -> None:
    reseal(talks, lambda facts: facts["config"].update(record_format="alpaca", template="alpaca"))
    for deep in (3, "all"):
        found = found_in(talks, deep=deep)
        assert found[0][:2] == ("manifest.json", "V023") if deep == "all" else ("talks.jsonl", "V023")


def test_the_same_rows_in_other_bytes_are_a_warning(talks: Path) -> None:
    path = shard_of(talks)
    pq.write_table(pq.read_table(path), path, compression="snappy")
    reseal(talks, lambda facts: facts["libraries"].update(pyarrow="1.0"))
    [(_, code, message)] = found_in(talks, deep="all")
    assert code == "V024"
    assert message.startswith("made again it has the same rows in other bytes (")
    assert message.endswith(f" (pyarrow 1.0 then, {pa.__version__} now)")


def test_options_of_another_version(talks: Path) -> None:
    reseal(talks, lambda facts: facts["config"].update(sorting="by hand", sftcli="0.9"))
    with pytest.raises(
        UsageError, match=r"with an option that sftcli .* does not have: .*; take the version that"
    ):
        verify(["out"], Asked(deep=3), 10)


# Inputs


def test_inputs(talks: Path) -> None:
    path = Path("talks.jsonl")
    before = path.read_bytes()
    assert found_in(talks, strict_inputs=True) == []
    path.write_bytes(before + b"\n")
    size = len(before)
    longer = f"has {size + 1:,} bytes, and had {size:,} when the folder was prepared; {AGAIN}"
    assert found_in(talks, strict_inputs=True) == [("talks.jsonl", "V021", longer)]
    assert found_in(talks) == []
    found = verify(["out"], Asked(deep=3), 10)
    assert [one.code for one in found.kept] == ["V021"]
    assert found.notes == ["no row of out was made again, since this much is wrong already"]
    path.write_bytes(before.replace(b"Rome", b"Bonn"))
    [(file, code, message)] = found_in(talks, strict_inputs=True)
    assert (file, code) == ("talks.jsonl", "V021")
    assert message.startswith("has other bytes than when the folder was prepared (sha256 ")
    path.unlink()
    assert found_in(talks, strict_inputs=True) == [
        (
            *("talks.jsonl", "V022"),
            f"is missing (looked for {path.absolute()}); run verify in the folder that prepare ran in, "
            "or bring the input back",
        )
    ]


def test_standard_input_cannot_be_compared(tmp_path: Path) -> None:
    args = ("-t", "demo", "--template", "chatml", "-o", "out", "--quiet")
    assert run_sftcli("prepare", "-", *args, stdin=json.dumps(TALKS[0]).encode(), cwd=tmp_path).code == 0
    ended = run_sftcli("verify", "out", "--strict-inputs", cwd=tmp_path)
    assert (ended.code, ended.out) == (
        1,
        "-: error: V022 missing_input: was standard input or a pipe, of which no hash was kept: it cannot be "
        "compared\n"
        "1 error: 1 row in 6 files\n"
        "`sftcli rules CODE` explains a rule.\n",
    )


# The command


def test_ways_to_end(talks: Path, sftcli_here: Here) -> None:
    fine = "All checks passed: 3 rows in 6 files\n"
    made = "All checks passed: 3 rows in 6 files; the inputs are as they were; 3 rows made again (seed 0)\n"
    assert sftcli_here("verify", "out") == Ended(0, fine, "")
    assert sftcli_here("verify", "out", "--quiet") == Ended(0, "", "")
    # the value of --deep may be left out, also before the folder
    for args in (
        ["out", "--deep"],
        ["--deep", "out"],
        ["--deep", "--no-progress", "out"],
        ["--deep=1000", "out"],
    ):
        assert sftcli_here("verify", *args) == Ended(0, made, ""), args
    assert sftcli_here("verify", "out", "out").out == "All checks passed: 6 rows in 12 files\n"
    (talks / "notes.txt").write_text("")
    stray = "is not listed in the manifest, and some readers take every file; move it elsewhere"
    shown = (
        f"out/notes.txt: warning: V019 stray_file: {stray}\n1 warning: 3 rows in 6 files\n"
        "`sftcli rules CODE` explains a rule.\n"
    )
    assert sftcli_here("verify", "out") == Ended(0, shown, "")
    assert sftcli_here("verify", "out", "--strict") == Ended(1, shown, "")
    damage(talks, "README.md", lambda raw: raw + b"x")
    ended = sftcli_here("verify", "out", "--max-errors", "1", "--json")
    facts = json.loads(ended.out)
    assert (ended.code, facts["errors"], facts["warnings"], facts["not_listed"]) == (1, 1, 1, 1)
    assert (facts["rows"], facts["counts"]) == (3, {"V004": 1, "V019": 1})
    (talks / "manifest.json").unlink()
    assert sftcli_here("verify", "out").code == 3
    assert sftcli_here("verify", "nowhere").code == 2
    assert sftcli_here("verify").code == 2
    assert sftcli_here("verify", "--deep").code == 2


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "github", "junit", "sarif"])
def test_the_findings_in_a_file(talks: Path, sftcli_here: Here, format_: str) -> None:
    damage(talks, "README.md", lambda raw: raw + b"x")
    direct = sftcli_here("verify", "out", "--format", format_)
    ended = sftcli_here("verify", "out", "--format", format_, "-o", "report")
    assert (direct.code, ended.code) == (1, 1)
    assert Path("report").read_text(encoding="utf-8") == direct.out
    assert ended.out == "1 error: 3 rows in 6 files; written to report\n"
    assert sftcli_here("verify", "out", "-o", "no/where").code == 3


def test_what_data_says_is_not_obeyed(talks: Path, sftcli_here: Here) -> None:
    (talks / "\x1b[31m##[error]x\n::error::y").write_text("")
    (talks / os.fsdecode(b"\xff")).write_text("")
    out = sftcli_here("verify", "out").out
    assert [line.partition(": warning: V019")[0] for line in out.splitlines()[:-2]] == [
        *(r"out/\x1b[31m#\x23[error]x\n::error::y", r"out/\udcff")
    ]
    for format_ in ("json", "junit", "sarif"):
        sftcli_here("verify", "out", "--format", format_).out.encode()


def test_help_and_checks_of_files_load_nothing_heavy(talks: Path) -> None:
    assert not imported("verify", "--help") & {"numpy", "pyarrow", "tokenizers", "transformers", "jinja2"}
    assert not imported("verify", "out") & {"transformers", "torch", "pandas", "fastokens", "jinja2"}

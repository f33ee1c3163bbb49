"""`sftcli verify`: what an attentive forger leaves behind, and what no manifest may do to the run."""

import fcntl
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import EXAMPLES, Here, chat, jsonl, make, manifest, write
from test_verify import AGAIN, QA, found_in, put_rows, put_table, reseal, shard_of, table_of

from sftcli.errors import OutputError, SftcliError
from sftcli.manifest import pretty_json, read_manifest, sealed
from sftcli.prepared import facts_in
from sftcli.verify import Asked, verify
from sftcli.verify.again import check_all
from sftcli.verify.scratch import scratch_folder

# -o


@pytest.mark.parametrize("asked", [(), ("--strict-inputs",), ("--deep", "2"), ("--deep", "all")])
def test_findings_take_the_place_of_nothing_that_belongs_to_the_folder(
    talks: Path, asked: tuple[str, ...], sftcli_here: Here
) -> None:
    Path("elsewhere.md").write_bytes((talks / "README.md").read_bytes())
    (talks / "README.md").unlink()
    (talks / "README.md").symlink_to("../elsewhere.md")
    Path("link.jsonl").symlink_to("talks.jsonl")
    for name in ("talks.jsonl", "link.jsonl", "elsewhere.md", "out/new", "out/manifest.json"):
        before = Path(name).read_bytes() if Path(name).exists() else None
        ended = sftcli_here("verify", "out", *asked, "-o", name)
        assert (ended.code, ended.out) == (2, ""), name
        assert ended.err.startswith(f"error: -o {name}: ")
        assert (Path(name).read_bytes() if Path(name).exists() else None) == before


# Links


def test_links_are_told(talks: Path) -> None:
    (talks / "tokenizer").rename("tokenizer")
    (talks / "tokenizer").symlink_to("../tokenizer")
    (talks / "README.md").rename("card.md")
    (talks / "README.md").symlink_to("../card.md")
    (talks / "more").symlink_to("..")
    (talks / "lost").symlink_to("nowhere")
    found = {(name, code) for name, code, _ in found_in(talks)}
    inside = {name for name in manifest(talks)["files"] if name.startswith("tokenizer/")}
    assert found == {
        ("more", "V019"),
        ("lost", "V019"),
        ("README.md", "V025"),
        *((name, "V025") for name in inside),
    }
    # A link to the folder as a whole is none in it.
    Path("link").symlink_to("out")
    assert len(verify(["link"], Asked(), 100).kept) == len(found)
    assert [code for _, code, _ in found_in(Path("link"))] == [code for _, code, _ in found_in(talks)]


# The manifest


def test_a_manifest_that_is_no_plain_file_or_huge(talks: Path, sftcli_here: Here) -> None:
    path = talks / "manifest.json"
    whole = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    assert [(code, message.partition(";")[0]) for _, code, message in found_in(talks)] == [
        ("V001", "no manifest of sftcli: it is no plain file")
    ]
    with pytest.raises(OutputError, match=r"manifest.json: cannot be read: it is no plain file$"):
        read_manifest(talks)
    path.unlink()
    path.write_bytes(whole)
    os.truncate(path, 300 << 20)  # of which the disk holds nothing
    message = "it has 314,572,800 bytes, and no manifest has over 268,435,456"
    assert message in found_in(talks)[0][2]
    with pytest.raises(OutputError, match=message):
        read_manifest(talks)
    assert sftcli_here("inspect", "out").code == 2
    path.unlink()
    path.mkdir()
    assert [code for _, code, _ in found_in(talks)] == ["V001"]


HOSTILE = [
    None, True, -1, 1 << 70, 1.5, "", "x", "\0", "a" * 5000, "/dev/zero", "..", "talks.jsonl/x", ".", [], {},
    [1], {"a": 1}, "tokenizer", "train-00000-of-00001.parquet/x", "no.jinja", "-", "[*", "\n\x1b[31m",
]  # fmt: skip


def places_in(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, part in inner for found in places_in(part, (*place, key)))]


@pytest.mark.parametrize("seed", range(4))
def test_no_manifest_ends_in_a_bug(talks: Path, seed: int) -> None:
    """Sealed or not, what it says is judged, or refused in words."""
    drawn = random.Random(seed)
    base = manifest(talks)
    places = places_in(base)[1:]
    for _ in range(40):
        facts = json.loads(json.dumps(base))
        *way, last = drawn.choice(places)
        inside = facts
        for key in way:
            inside = inside[key]
        if drawn.random() < 0.3:
            del inside[last]
        else:
            inside[last] = drawn.choice(HOSTILE)
        facts.pop("sha256", None)
        (talks / "manifest.json").write_bytes(pretty_json(sealed(facts)))
        refused = refusal(Asked(drawn.choice([None, 2, "all"]), strict_inputs=True))
        assert refused is None or (refused.exit_code in (2, 3) and "Errno" not in str(refused))


def refusal(asked: Asked) -> SftcliError | None:
    try:
        verify(["out"], asked, 100)
    except SftcliError as problem:
        return problem
    return None


SAID: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "engine": (lambda facts: facts.update(engine="none"), "its engine is 'none', and made again it is "),
    "template": (
        lambda facts: facts.update(template="x"),
        "its template is 'x', and made again it is 'chatml'",
    ),
    "record format": (lambda facts: facts.update(record_format="text"), "its record_format is 'text', and"),
    "straddles": (
        lambda facts: facts["counts"]["straddling_tokens"].update(masked=7),
        "its counts.straddling_tokens is {'masked': 7, ",
    ),
    "notes": (lambda facts: facts["counts"].update(notes={"x": 1}), "its counts.notes is {'x': 1}, and made"),
    "a shard's input": (
        lambda facts: facts["shards"][0].update(input="x"),
        "its train-00000-of-00001.parquet.input is 'x', and made again it is 'talks.jsonl'",
    ),
    "a key of its own": (lambda facts: facts.update(x=1), "its x is 1, and made again it is missing"),
}


@pytest.mark.parametrize("case", SAID)
def test_all_that_a_manifest_says_is_compared(talks: Path, case: str) -> None:
    edit, message = SAID[case]
    reseal(talks, edit)
    assert found_in(talks) == []
    (name, code, told), *more = found_in(talks, deep="all")
    assert (name, code) == ("manifest.json", "V023")
    assert told.startswith(message)
    # The dataset card has the template's name too.
    assert [name for name, _, _ in more] == ["README.md"] * (case == "template")


@pytest.mark.parametrize("name", ["README.md", "tokenizer/chat_template.jinja"])
def test_files_beside_the_rows_are_compared(talks: Path, name: str) -> None:
    before = (talks / name).read_bytes()
    (talks / name).write_bytes(before + b"{# #}")
    reseal(talks)
    assert found_in(talks) == []
    assert found_in(talks, deep="all") == [(name, "V023", f"made again it has other bytes; {AGAIN}")]
    reseal(talks, lambda facts: facts["libraries"].update(pyarrow="1.0"))
    told = f"made again it has other bytes (pyarrow 1.0 then, {pa.__version__} now); {AGAIN}"
    assert found_in(talks, deep="all") == [(name, "V024", told)]


def test_a_tokenizer_that_ends_texts_otherwise(talks: Path) -> None:
    """Nobody need make a row again to see that."""
    path = talks / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_bytes())
    config |= {"eos_token": "<|endoftext|>"}
    path.write_text(json.dumps(config))
    reseal(talks)
    [(name, code, message)] = found_in(talks)
    assert (name, code) == ("tokenizer", "V018")
    assert message.startswith("has the eos token '<|endoftext|>', and the manifest says '<|im_end|>'; ")
    reseal(talks, lambda facts: facts["tokenizer"].update(added_tokens=[{"text": "<|x|>", "id": 1}]))
    assert "has no control token '<|x|>' of the id 1, and the manifest lists it" in found_in(talks)[1][2]


@pytest.mark.parametrize("asked", [True, False])
def test_added_tokens_are_those_of_the_folder(asked: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"add_special_tokens": ["<|x|>"], "eos_token": "<|x|>"} if asked else {}
    make(out, write(tmp_path / "in.jsonl", {"prompt": "a", "completion": " b"}), **options)
    assert bool(manifest(out)["tokenizer"]["added_tokens"]) == asked
    assert found_in(out, deep="all") == []


# Rows in another place


def test_rows_that_changed_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    make(out, EXAMPLES / "gsm8k.jsonl", template=QA)
    rows = table_of(out).to_pylist()
    put_rows(out, [rows[1], rows[0], *rows[2:]])
    messages = {
        line: f"the row of this record is row {row} of out, out of the order of its inputs; {AGAIN}"
        for line, row in ((1, 1), (2, 0))
    }
    found = verify(["out"], Asked(deep=200), 100).kept
    assert [(one.code, one.line, one.message) for one in found] == [
        ("V023", line, message) for line, message in messages.items()
    ]
    put_rows(out, rows[::-1])
    assert len(verify(["out"], Asked(deep=10), 100).kept) == 10


def test_equal_rows_and_lines_without_a_row_are_no_disorder(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    same, other, long = chat("a", "b"), chat("c", "d"), chat("e", "f " * 50)
    records = [same, long, other, same, same, long, other, {}, other, same]
    make("out", write(Path("in.jsonl"), *records), template="chatml", max_length=40, on_error="skip")
    assert found_in(Path("out"), deep=10) == []
    rows = table_of(Path("out")).to_pylist()
    assert len(rows) == 7
    put_rows(Path("out"), [*rows[3:], *rows[:3]])
    assert found_in(Path("out"), deep=10)


def put_kept(out: Path, rows: list[dict[str, Any]], lines: int) -> None:
    """Put rows in the place of those that were kept of so many lines."""
    put_rows(out, rows)
    reseal(out, lambda facts: facts["counts"].update(lines=lines))


@pytest.mark.parametrize("dedup", ["exact", "prompt", "near"])
def test_records_that_repeat_others_stand_for_them(dedup: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Their rows are found before their places; what is wrong of the others is not forgiven for it."""
    monkeypatch.chdir(tmp_path)
    out, talks = Path("out"), [chat(word, word.upper()) for word in "abcdefg"]
    order = [0, 1, 0, 2, 2, 1, 3, 4, 0, 5, 6, 6]
    make(out, write(Path("in.jsonl"), *(talks[at] for at in order)), template="chatml", dedup=dedup)
    rows = table_of(out).to_pylist()
    assert len(rows) == 7
    for seed in range(20):
        assert found_in(out, deep=1 + seed % 12, seed=seed) == []
    put_kept(out, [rows[1], rows[0], *rows[2:]], 12)
    assert [found.line for found in verify(["out"], Asked(deep=12), 100).kept] == [1]
    put_kept(out, [*rows[:3], rows[4], rows[5], rows[6], rows[3]], 12)
    assert {found.code for found in verify(["out"], Asked(deep=12), 100).kept} == {"V023"}
    for row in rows[2:]:
        row["input_ids"][0] += 1
    put_kept(out, rows, 12)
    # Lines 4 to 8 and 10 to 12 but for line 6 have other rows, and 5 records were left out.
    assert [found.line for found in verify(["out"], Asked(deep=12), 100).kept] == [11, 12]


def test_a_record_that_is_left_out_may_be_trained_otherwise(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    out, first = Path("out"), chat("a", "b", "c", "d")
    second = json.loads(json.dumps(first))
    second["messages"][1]["train"] = False
    make(out, write(Path("in.jsonl"), first, second, first), template="chatml", dedup="prompt")
    rows = table_of(out).to_pylist()
    assert len(rows) == 1
    assert found_in(out, deep=3) == []
    at = next(at for at, label in enumerate(rows[0]["labels"]) if label != -100)
    rows[0]["labels"][at] = -100
    put_kept(out, rows, 3)
    told = f"the row of this record, made again, has other labels in out; {AGAIN}"
    assert [(one.line, one.message) for one in verify(["out"], Asked(deep=3), 10).kept] == [(1, told)]


@pytest.mark.parametrize("split_size", [40, "1 GB"])
def test_what_is_behind_the_limit_was_not_read(
    split_size: int | str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    out, records = Path("out"), [{"prompt": f"q{n}", "completion": f" a{n}"} for n in range(20)]
    write(Path("a.jsonl"), *records)
    Path("b.jsonl").write_bytes(b"\n\n" + jsonl(records[0]))
    make(out, "a.jsonl", "b.jsonl", limit=7, split_size=split_size)
    assert {name: manifest(out)["counts"][name] for name in ("lines", "blank")} == {"lines": 7, "blank": 0}
    for deep in (3, 1_000, "all"):
        assert found_in(out, deep=deep) == []


def test_a_shuffled_folder_has_an_order_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make("out", EXAMPLES / "gsm8k.jsonl", template=QA, shuffle=True)
    assert found_in(Path("out"), deep=50) == []


def test_columns_beside_the_labels_are_compared(talks: Path) -> None:
    table = table_of(talks)
    mask = [[1] * len(row) for row in table["input_ids"].to_pylist()]
    mask[1][0] = 0
    field = table.schema.field("attention_mask")
    put_table(shard_of(talks), table.set_column(1, field, pa.array(mask, field.type)))
    reseal(talks)
    message = f"made again, row 1 of this shard has other attention_mask; {AGAIN}"
    assert next(check_all(talks, facts_in(talks))).message == message


# Scratch folders


def test_what_a_killed_run_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, goes_on, other = (tmp_path / f"sftcli-verify-{name}" for name in ("left", "goes-on", "other"))
    for folder in (left, goes_on, other):
        folder.mkdir()
    (left / "out").mkdir()
    (left / "out" / "x.parquet").write_bytes(b"x")
    (left / "lock").touch()
    (goes_on / "lock").touch()
    (tmp_path / "sftcli-verify-link").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "lock").touch()
    with (goes_on / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with scratch_folder() as first, scratch_folder() as second:
            assert first != second
            assert [first.is_dir(), second.is_dir()] == [True, True]
        there = sorted(path.name for path in tmp_path.iterdir())
    assert there == ["kept", "sftcli-verify-goes-on", "sftcli-verify-link", "sftcli-verify-other"]
    assert (tmp_path / "kept" / "lock").exists()

"""The output folder: nothing that was there is lost, and a failed run leaves no trace."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import BAD, TALKS, jsonl, make, manifest, tree, write

from sftcli.config import load_config
from sftcli.errors import BadRecordsError, DataError, FileError, OutputError, SftcliError
from sftcli.manifest import is_sealed
from sftcli.pipeline import prepare


def _cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


FAILURES: dict[str, tuple[type[SftcliError], dict[str, bytes], dict[str, Any]]] = {
    "bad record": (BadRecordsError, {"in.jsonl": jsonl(*BAD)}, {}),
    "bad record in the last input": (
        BadRecordsError,
        {"a.jsonl": jsonl(*TALKS), "b.jsonl": jsonl(*TALKS, *BAD)},
        {},
    ),
    "cut gzip": (FileError, {"a.jsonl": jsonl(*TALKS), "b.jsonl.gz": _cut(gzip.compress(jsonl(*TALKS)))}, {}),
    "no row left": (DataError, {"in.jsonl": jsonl(*TALKS)}, {"max_length": 3}),
    "every record bad": (DataError, {"in.jsonl": jsonl(*BAD[1:3])}, {"on_error": "skip"}),
    "empty input": (DataError, {"in.jsonl": b""}, {}),
    "blank input": (DataError, {"in.jsonl": b" \n\n"}, {"record_format": "messages"}),
}


@pytest.mark.parametrize("earlier", [False, True], ids=["new folder", "earlier dataset"])
@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_run_leaves_no_trace(tmp_path: Path, case: str, earlier: bool) -> None:
    error, files, options = FAILURES[case]
    out = tmp_path / "out"
    if earlier:
        make(out, write(tmp_path / "earlier.jsonl", *TALKS), template="chatml", format="arrow")
    before = tree(tmp_path)
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(error):
        make(out, *(tmp_path / name for name in files), overwrite=earlier, template="chatml", **options)
    found = tree(tmp_path)
    if case == "bad record in the last input":  # what was done of the first one is kept
        assert "out/.staging/done/00000.json" in found
        found = {name: raw for name, raw in found.items() if not name.startswith("out/.staging/")}
    assert found == {**before, **files}
    assert (out / ".staging").exists() == (case == "bad record in the last input")


class StopError(Exception):
    pass


def test_a_run_stopped_from_outside_leaves_no_trace(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *TALKS), tmp_path / "out"
    make(out, source, template="chatml")
    before = tree(tmp_path)

    def stop(_done: int) -> None:
        raise StopError

    config = load_config(
        None, {"inputs": [str(source)], "output": str(out), "tokenizer": "demo", "template": "chatml"}
    )
    with pytest.raises(StopError):
        prepare(config, overwrite=True, progress=lambda _run: stop)
    assert tree(tmp_path) == before


def test_overwrite_replaces_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.jsonl", *TALKS), write(tmp_path / "b.jsonl", *BAD)
    out = tmp_path / "out"
    make(out, first, second, template="chatml", on_error="quarantine", add_special_tokens=["<X>"])
    strangers = {"notes.txt": b"mine", "tokenizer/notes.txt": b"mine too", "deep/er/x": b"x"}
    for name, raw in strangers.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(raw)
    make(out, first, overwrite=True, template="chatml", format="arrow")
    make(tmp_path / "fresh", first, template="chatml", format="arrow")
    fresh = tree(tmp_path / "fresh")
    found = tree(out)
    assert {name: found.pop(name) for name in strangers} == strangers
    assert found == fresh


def test_a_manifest_that_points_outside_removes_nothing_there(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *TALKS), tmp_path / "out"
    make(out, source, template="chatml")
    facts = manifest(out)
    facts["files"] |= {"../in.jsonl": {}, str(source): {}}
    (out / "manifest.json").write_text(json.dumps(facts))
    make(out, source, overwrite=True, template="chatml")
    assert source.read_bytes() == jsonl(*TALKS)


def test_folders_that_must_not_be_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *TALKS)
    for name in ("foreign/notes.txt", "dataset/old.txt"):
        Path(name).parent.mkdir()
        Path(name).write_bytes(b"mine")
    shutil.rmtree("dataset")
    make("dataset", "in.jsonl", template="chatml")
    write(Path("dataset/in.jsonl"), *TALKS)
    Path("link").symlink_to("dataset/in.jsonl")
    before = tree(tmp_path)
    refused = "is not empty and holds no dataset made by sftcli; name another folder with -o"
    inside = "lies in this folder; write the output elsewhere"
    for out, source, overwrite, message in [
        ("foreign", "in.jsonl", False, f"foreign: {refused}"),
        ("foreign", "in.jsonl", True, f"foreign: {refused}"),
        ("in.jsonl", "in.jsonl", True, "in.jsonl: is a file; -o names a folder"),
        (
            *("dataset", "in.jsonl", False),
            "dataset: already holds a dataset; pass --overwrite to replace it, or name another folder",
        ),
        ("dataset", "dataset/in.jsonl", True, f"dataset: the input dataset/in.jsonl {inside}"),
        ("dataset", "dataset/*.jsonl", True, f"dataset: the input dataset/*.jsonl {inside}"),
        ("dataset", "./link", True, f"dataset: the input ./link {inside}"),
        (".", "dataset/in.jsonl", True, f".: the input dataset/in.jsonl {inside}"),
    ]:
        with pytest.raises(OutputError) as found:
            make(out, source, overwrite=overwrite, template="chatml")
        assert str(found.value) == message
    assert tree(tmp_path) == before


def test_an_empty_folder_and_a_subfolder_of_the_inputs_will_do(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *TALKS)
    make(tmp_path / "fresh", source, template="chatml")
    for out in (tmp_path / "empty", tmp_path / "deep" / "er"):
        if out.name == "empty":
            out.mkdir()
        make(out, source, template="chatml")
        assert tree(out) == tree(tmp_path / "fresh")


def test_what_a_killed_run_left_behind_is_swept_away(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", *TALKS), tmp_path / "out"
    (out / ".staging" / "tokenizer").mkdir(parents=True)
    (out / ".staging" / "train-00000-of-00009.parquet").write_bytes(b"half")
    make(out, source, template="chatml")
    make(tmp_path / "fresh", source, template="chatml")
    assert tree(out) == tree(tmp_path / "fresh")


def test_a_manifest_ends_in_the_checksum_of_the_rest(tmp_path: Path) -> None:
    make(tmp_path / "out", write(tmp_path / "in.jsonl", *TALKS), template="chatml")
    raw = (tmp_path / "out" / "manifest.json").read_bytes()
    rest, _, last = raw.rpartition(b',\n  "sha256": ')
    assert json.loads(last.removesuffix(b"\n}\n")) == hashlib.sha256(rest + b"\n}\n").hexdigest()
    facts = json.loads(raw)
    assert is_sealed(facts, raw)
    assert not is_sealed(facts | {"engine": "other"}, raw)
    assert not is_sealed(facts, raw + b"\n")

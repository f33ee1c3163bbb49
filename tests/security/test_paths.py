"""A run writes where it was told to and nowhere else, whatever links, manifests and names say.

`test_output.py` has folders that must not be touched and manifests that point outside, `test_verify.py`
and `test_verify_again.py` what `verify` says of links and of what a manifest may not list,
`test_output_file.py` the files of other commands, and `test_cli.py` control characters in file names.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TALKS, Ended, manifest, run_sftcli, tree, write

Here = Callable[..., Ended]
MAKE = ("prepare", "in.jsonl", "-t", "demo", "--template", "chatml", "--quiet", "-o")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.jsonl"), *TALKS)


@pytest.fixture
def out(sftcli_here: Here) -> Path:
    """A dataset in ./out, beside a file and a folder that are none of its business."""
    assert sftcli_here(*MAKE, "out") == Ended(0, "", "")
    Path("precious").write_text("mine")
    Path("elsewhere").mkdir()
    Path("elsewhere/file").write_text("mine")
    return Path("out")


def whole(out: Path) -> set[str]:
    return {"manifest.json", *manifest(out)["files"]}


def test_a_link_to_a_folder_is_that_folder(sftcli_here: Here) -> None:
    Path("real").mkdir()
    Path("link").symlink_to("real")
    assert sftcli_here(*MAKE, "link").code == 0
    first = tree(Path("real"))
    assert sftcli_here(*MAKE, "link", "--overwrite").code == 0
    assert Path("link").is_symlink()
    assert tree(Path("real")) == first


def test_a_link_to_nothing_or_to_what_is_not_ours_is_refused(sftcli_here: Here, out: Path) -> None:
    Path("lost").symlink_to("nowhere")
    assert sftcli_here(*MAKE, "lost").code in (2, 3)
    assert not Path("nowhere").exists()
    Path("link").symlink_to("elsewhere")
    assert sftcli_here(*MAKE, "link", "--overwrite") == Ended(
        *(2, ""),
        "error: link: is not empty and holds no dataset made by sftcli; name another folder with -o\n",
    )
    assert tree(Path("elsewhere")) == {"file": b"mine"}


@pytest.mark.parametrize("kind", ["symlink", "hard link"])
@pytest.mark.parametrize("name", ["README.md", "train-00000-of-00001.parquet", "manifest.json"])
def test_a_link_in_the_dataset_is_replaced_and_not_followed(
    sftcli_here: Here, out: Path, name: str, kind: str
) -> None:
    expected = tree(out)
    shutil.copyfile(out / name, "precious")
    (out / name).unlink()
    if kind == "symlink":
        (out / name).symlink_to("../precious")
    else:
        os.link("precious", out / name)
    facts, before = os.stat("precious"), Path("precious").read_bytes()
    write(Path("in.jsonl"), *TALKS[:1])
    assert sftcli_here(*MAKE, "out", "--overwrite").code == 0
    assert Path("precious").read_bytes() == before
    assert os.stat("precious").st_ino == facts.st_ino
    assert not (out / name).is_symlink()
    assert (out / name).read_bytes() != before
    assert tree(out).keys() == expected.keys()


def test_what_a_manifest_lists_elsewhere_stays(sftcli_here: Here, out: Path) -> None:
    (out / "sub").symlink_to("../elsewhere")
    facts = manifest(out)
    for name in (
        *("../precious", str(Path("precious").absolute()), "sub/file", "tokenizer/../../precious"),
        *("./../precious", "", ".", "..", "/", "sub", "a\nb", "\x1b[31m", "x\0y", "~", "../elsewhere"),
    ):
        facts["files"][name] = {"bytes": 4, "sha256": "0" * 64}
    (out / "manifest.json").write_text(json.dumps(facts))
    assert sftcli_here(*MAKE, "out", "--overwrite").code == 0
    assert Path("precious").read_text() == "mine"
    assert tree(Path("elsewhere")) == {"file": b"mine"}
    assert (out / "sub").is_symlink()
    assert whole(out) <= tree(out).keys()


@pytest.mark.parametrize("command", ["inspect", "stats"])
@pytest.mark.parametrize("name", ["../precious", "/etc/hostname", "sub/../../precious"])
def test_no_shard_is_read_from_elsewhere(sftcli_here: Here, out: Path, command: str, name: str) -> None:
    facts = manifest(out)
    facts["shards"][0]["file"] = name
    facts["files"][name] = facts["files"]["train-00000-of-00001.parquet"]
    (out / "manifest.json").write_text(json.dumps(facts))
    ended = sftcli_here(command, "out")
    assert (ended.code, ended.out) == (2, "")
    assert "is no file in this folder" in ended.err


def test_a_linked_folder_in_the_dataset_is_not_written_through(sftcli_here: Here, out: Path) -> None:
    shutil.move(out / "tokenizer", "kept")
    (out / "tokenizer").symlink_to("../kept")
    before = {path.name: path.stat().st_ino for path in Path("kept").iterdir()}
    sftcli_here(*MAKE, "out", "--overwrite")
    assert {path.name: path.stat().st_ino for path in Path("kept").iterdir()} == before


def test_a_linked_staging_area_is_not_written_through(sftcli_here: Here) -> None:
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    Path("out/.staging").symlink_to("../elsewhere")
    sftcli_here(*MAKE, "out")
    assert tree(Path("elsewhere")) == {}


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["~/data", "~root", "s3:/bucket", "file:x", "-x", "a b", "new\nline"])
def test_a_name_is_a_name(name: str, format_: str) -> None:
    """Arrow reads a tilde, and a scheme of an address, out of the names that it is given."""
    home = Path("home")
    home.mkdir()
    args = (*MAKE[:-1], "--format", format_, "-o", name)
    assert run_sftcli(*args, HOME=str(home.absolute())) == Ended(0, "", "")
    assert list(home.iterdir()) == []
    assert Path(name, "manifest.json").is_file()
    given = name if name[0] != "-" else f"./{name}"
    assert run_sftcli("verify", given).code == 0
    assert run_sftcli("inspect", given).code == 0


def test_a_parquet_input_is_the_file_of_that_name(sftcli_here: Here) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open("~a.parquet", "wb") as file:
        pq.write_table(pa.table({"text": ["Hi", "Ho"]}), file)
    assert sftcli_here("prepare", "~a.parquet", "-t", "demo", "--quiet", "-o", "out").code == 0
    assert [shard["rows"] for shard in manifest(Path("out"))["shards"]] == [2]


ADDRESS = "https://user:s3cret@example.invalid"
ADDRESSES = {
    "an input": ("prepare", f"{ADDRESS}/a.jsonl", "-t", "demo", "-o", "out"),
    "a tokenizer": ("prepare", "in.jsonl", "-t", f"{ADDRESS}/m", "-o", "out"),
    "a template": ("prepare", "in.jsonl", "-t", "demo", "--template", f"{ADDRESS}/t.jinja", "-o", "out"),
    "a layout": ("prepare", "in.jsonl", "-t", "demo", "--template", f"{ADDRESS}/t.yaml", "-o", "out"),
    "a config": ("prepare", "in.jsonl", "--config", f"{ADDRESS}/c.yaml", "-o", "out"),
    "data to judge": ("validate", f"{ADDRESS}/a.jsonl"),
    "a folder": ("inspect", f"{ADDRESS}/a"),
    "a folder to verify": ("verify", f"{ADDRESS}/a"),
    "a folder to measure": ("stats", f"{ADDRESS}/a"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_address_is_not_opened_and_its_password_not_shown(sftcli_here: Here, case: str) -> None:
    ended = sftcli_here(*ADDRESSES[case])
    assert ended.code in (1, 2)
    assert "s3cret" not in ended.out + ended.err
    assert not Path("out").exists()

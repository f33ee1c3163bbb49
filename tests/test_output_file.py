"""Files that commands write never take the place of what they read."""

import shutil
from pathlib import Path

import pytest
from conftest import run_sftcli

import sftcli
from sftcli.cli.output_file import check_output_file
from sftcli.errors import UsageError

DATA = Path(sftcli.__file__).parent / "data"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with records, a tokenizer, a layout, a config and a dataset."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(DATA / "examples" / "chat.jsonl", "chat.jsonl")
    shutil.copytree(DATA / "demo", "tk")
    Path("own.yaml").write_text(sftcli_template())
    Path("c.yaml").write_text("template: chatml\ntokenizer: tk\n")
    assert run_sftcli("prepare", "chat.jsonl", "--config", "c.yaml", "-o", "out").code == 0
    return tmp_path


def sftcli_template() -> str:
    return 'roles:\n  user: {before: "Q ", end: "\\n"}\n  assistant: {before: "A ", end: "{eos}"}\n'


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("inspect out -o out/rows.json", "lies in the dataset"),
        ("inspect out -o out/tokenizer/tokenizer.json", "lies in the dataset"),
        ("inspect chat.jsonl -t tk --template chatml -o chat.jsonl", "is what is read"),
        ("inspect chat.jsonl -t tk --template chatml -o tk/tokenizer.json", "lies in tk, which is read"),
        ("inspect chat.jsonl -t tk --template own.yaml --format json -o own.yaml", "is what is read"),
        ("inspect chat.jsonl --config c.yaml --format json -o c.yaml", "is what is read"),
        ("inspect chat.jsonl --config c.yaml -o tk/rows.json", "lies in tk, which is read"),
        ("inspect out --against out -o out", "is a folder"),
        ("stats chat.jsonl --config c.yaml --plot out/lengths.svg", "lies in the dataset"),
        ("validate chat.jsonl -o chat.jsonl", "is what is read"),
        ("validate *.jsonl -o chat.jsonl", "is what is read"),
        ("validate chat.jsonl --fix -o chat.jsonl", "is what is read"),
        ("verify out -o out/found.json", "lies in out, which is read"),
    ],
)
def test_what_is_read_is_not_written(here: Path, command: str, why: str) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = run_sftcli(*command.split())
    assert (done.code, why in done.err) == (2, True), done.err
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_other_files_may_be_written(here: Path) -> None:
    Path("manifest.json").write_text('{"name": "a web app"}')  # no dataset's
    check_output_file("-o", "rows.json", ["chat.jsonl", "chatml", None, "no/such/*.jsonl"])
    Path("rows.json").write_text("old")
    check_output_file("-o", "rows.json", ["chat.jsonl"])
    with pytest.raises(UsageError, match="is what is read"):
        check_output_file("-o", "rows.json", ["./*.json"])


def test_a_link_stays_a_link(here: Path) -> None:
    Path("real.html").touch()
    Path("link.html").symlink_to("real.html")
    assert run_sftcli("inspect", "out", "-o", "link.html").code == 0
    assert Path("link.html").is_symlink()
    assert "<!doctype html>" in Path("real.html").read_text().lower()

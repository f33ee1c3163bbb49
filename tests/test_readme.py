"""What the README shows is what the tool prints."""

import re
import subprocess
import sys
from pathlib import Path

from sftcli.cli.inspect import ONLY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BAD_DATA = """\
{"instruction": "Name a prime number.", "output": "7"}
{"instruction": "Name an even number."}
{"instruction": "Name an odd number.", "output": 3}
{"instruction": "Name a square number.", "output": "9"
"""


def run(*args: str, folder: Path) -> str:
    """What a command prints, both streams, with what changes from run to run left out."""
    done = subprocess.run(
        [sys.executable, "-m", "sftcli", *args],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return masked(done.stdout)


def masked(text: str) -> str:
    text = re.sub(r"tokenizers \d[\d.]+", "tokenizers VERSION", text)
    text = re.sub(r"[\d.]+ kB", "N kB", text)
    return re.sub(r"\d+\.\d\d s\b", "N s", text)


def test_the_first_screen_is_what_the_demo_prints(tmp_path: Path) -> None:
    for name in ("configs", "sftcli"):
        (tmp_path / name).symlink_to(ROOT / name)
    report = run("prepare", "--config", "configs/demo.yaml", folder=tmp_path)
    assert report.startswith("200 records in")
    assert report in masked(README)
    row = run("inspect", "out/demo", "--row", "1", folder=tmp_path)
    assert row.startswith("sftcli/data/examples/gsm8k.jsonl:2 · row 1\n")
    assert row in masked(README)


def test_the_targets_are_as_shown() -> None:
    data = ("sftcli/data/examples/chat.jsonl", "-t", "demo", "--template", "chatml")
    printed = run("inspect", *data, "--view", "targets", folder=ROOT)
    assert printed.startswith("sftcli/data/examples/chat.jsonl:1 · row 0\n")
    assert printed in README


def test_the_table_explains_all_that_rows_can_be_searched_for() -> None:
    table = README.partition("`--only` knows")[2].partition("In raw data")[0]
    first_column = "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))
    assert tuple(re.findall(r"`(.*?)`", first_column)) == ONLY


def test_the_bad_records_are_as_shown(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(BAD_DATA)
    printed = run("prepare", "data.jsonl", "-t", "demo", "--template", "alpaca", "-o", "out", folder=tmp_path)
    assert printed.startswith("data.jsonl:2:1: R002 missing_field")
    assert printed in README


def test_the_gate_finds_what_is_shown(tmp_path: Path) -> None:
    printed = run("validate", "docs/ten-faults.jsonl", folder=ROOT)
    assert "\n5 errors, 5 warnings: 11 records in 1 file; the first error: " in printed
    assert f"`sftcli validate docs/ten-faults.jsonl`:\n\n```\n{printed}```\n" in README
    for name in ("configs", "sftcli"):
        (tmp_path / name).symlink_to(ROOT / name)
    run("prepare", "--config", "configs/demo.yaml", folder=tmp_path)
    printed = run("verify", "out/demo", folder=tmp_path)
    assert f"`sftcli verify out/demo`:\n\n```\n{printed}```\n" in README


def test_every_option_that_it_names_exists() -> None:
    helps = "".join(
        subprocess.run(
            [sys.executable, "-m", "sftcli", *command, "--help"],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for command in (
            *(["prepare"], ["inspect"], ["stats"], ["validate"], ["verify"]),
            *(["templates", "show"], ["templates", "check"]),
        )
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named
    assert {option for option in named if option not in helps} == set()


def test_every_built_in_template_is_named() -> None:
    for path in (ROOT / "sftcli" / "data" / "templates").glob("*.yaml"):
        assert f"`{path.stem}`" in README

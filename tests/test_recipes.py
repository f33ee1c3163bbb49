"""The recipes of docs/ci.md do what it says: each is taken from the page as it stands there, and run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
import yaml
from conftest import run_sftcli

ROOT = Path(__file__).parents[1]
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
VALIDATE = (ROOT / "docs" / "validate.md").read_text(encoding="utf-8")
VERIFY = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
HOOKS = ROOT / ".pre-commit-hooks.yaml"
INSTALL = "pip install sftcli"

GOOD = """\
{"instruction": "Name a prime number.", "output": "7"}
{"instruction": "Name an even number.", "output": "4"}
"""
BAD = """\
{"instruction": "Name a prime number.", "output": "7"}
{"instruction": "Name an even number."}
{"instruction": "Say bye.", "output": "Bye.<|im_end|>"}
{"instruction": "Name an ODD number.", "output": "3"}
"""
TEST = """\
{"instruction": "Name an odd number.", "output": "5"}
"""
OTHER = "the same prompt stands at data/test.jsonl:1"
MISSING = "field 'output' is missing; the fields there are 'instruction'"
FINDINGS = f"""\
data/train.jsonl:2:1: error: R002 missing_field: {MISSING}
data/train.jsonl:3:44: warning: C005 control_text: '<|im_end|>' in the data
data/train.jsonl:4:1: error: D004 prompt_in_other_set: {OTHER}
2 errors, 1 warning: 4 records in 1 file; the first error: data/train.jsonl:2:1
`sftcli rules CODE` explains a rule.
"""
ANNOTATIONS = f"""\
::error file=data/train.jsonl,line=2,col=1,title=R002 missing_field::{MISSING}
::error file=data/train.jsonl,line=4,col=1,title=D004 prompt_in_other_set::{OTHER}
::warning file=data/train.jsonl,line=3,col=44,title=C005 control_text::'<|im_end|>' in the data
2 errors, 1 warning: 4 records in 1 file; the first error: data/train.jsonl:2:1
"""


class Checkout:
    """A repository of data as the page has it, with `sftcli` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / ".programs"
        for name in ("data", ".programs"):
            (folder / name).mkdir()
        shutil.copytree(ROOT / "sftcli" / "data" / "demo", folder / "my-model")
        (folder / "data" / "test.jsonl").write_text(TEST)
        self.train(GOOD)
        program = self.programs / "sftcli"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sftcli "$@"\n')
        program.chmod(0o755)

    def train(self, text: str) -> None:
        (self.folder / "data" / "train.jsonl").write_text(text)

    def run(self, *command: str, **env: str) -> tuple[int, str, str]:
        """The exit code, standard output and standard error of a command."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "PYTHONUTF8": "1",
                "HOME": str(self.folder),
                **env,
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def script(self, text: str) -> tuple[int, str, str]:
        """A step's `run:`, as the runner of GitHub Actions starts it."""
        path = self.folder / ".programs" / "step.sh"
        path.write_text(text)
        return self.run("bash", "-e", str(path))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def recipe(page: str, language: str, file: str = "") -> str:
    """The one block of a page in a language that begins with a file's name."""
    head = rf"# {re.escape(file)}\n" if file else ""
    (block,) = re.findall(rf"^```{language}\n{head}(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return str(block)


def steps(file: str) -> list[str]:
    """The `run:` lines of a workflow's one job, but for the one that installs sftcli."""
    (job,) = yaml.safe_load(recipe(CI, "yaml", file))["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs[0] == INSTALL
    return runs[1:]


def test_make_prepares_what_is_new_and_nothing_else(checkout: Checkout) -> None:
    (checkout.folder / "Makefile").write_text(recipe(CI, "make"))
    code, out, err = checkout.run("make")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["sftcli", "validate"],
        ["touch", ".validated"],
        ["sftcli", "prepare"],
        ["sftcli", "verify"],
    ]
    manifest = checkout.folder / "out" / "manifest.json"
    made = manifest.read_bytes()
    assert json.loads(made)["counts"]["rows"] == 2
    assert checkout.run("make", "out/manifest.json")[:2] == (0, "make: 'out/manifest.json' is up to date.\n")

    checkout.train(BAD)
    later = manifest.stat().st_mtime + 5
    os.utime(checkout.folder / "data" / "train.jsonl", (later, later))
    code, out, err = checkout.run("make")
    assert code == 2
    assert out.partition("\n")[2] == FINDINGS
    assert "Makefile:" in err
    assert manifest.read_bytes() == made


def test_a_change_by_hand_is_seen_by_make_verify(checkout: Checkout) -> None:
    (checkout.folder / "Makefile").write_text(recipe(CI, "make"))
    assert checkout.run("make")[0] == 0
    (checkout.folder / "out" / "README.md").write_text("A new card.\n")
    code, out, _ = checkout.run("make", "verify")
    assert code == 2
    assert "\nout/README.md: error: V004 wrong_size: has 12 bytes, and the manifest says " in out


def test_github_shows_findings_beside_the_lines(checkout: Checkout) -> None:
    (step,) = steps(".github/workflows/data.yml")
    assert checkout.script(step) == (0, "All checks passed: 2 records in 1 file\n", "")
    checkout.train(BAD)
    assert checkout.script(step) == (1, ANNOTATIONS, "")


def test_github_gets_sarif_where_the_data_is_bad(checkout: Checkout) -> None:
    (step,) = steps(".github/workflows/data-alerts.yml")
    checkout.train(BAD)
    assert checkout.script(step)[0] == 1
    workflow = yaml.safe_load(recipe(CI, "yaml", ".github/workflows/data-alerts.yml"))
    upload = workflow["jobs"]["validate"]["steps"][-1]
    assert upload["if"] == "always()"
    sarif = json.loads((checkout.folder / upload["with"]["sarif_file"]).read_text())
    found = [(result["ruleId"], result["level"]) for result in sarif["runs"][0]["results"]]
    assert found == [("R002", "error"), ("D004", "error"), ("C005", "warning")]


def test_gitlab_gets_a_report_of_tests(checkout: Checkout) -> None:
    job = yaml.safe_load(recipe(CI, "yaml", ".gitlab-ci.yml"))["validate-data"]
    install, command = job["script"]
    assert install == INSTALL
    checkout.train(BAD)
    assert checkout.script(command)[0] == 1
    report = parse(checkout.folder / job["artifacts"]["reports"]["junit"]).getroot()  # noqa: S314 (our own)
    assert (report.get("tests"), report.get("failures")) == ("3", "2")


def test_dvc_runs_its_stages_one_after_the_other(checkout: Checkout) -> None:
    """What DVC does: the commands in a shell, in the order of what they depend on."""
    stages: dict[str, dict[str, Any]] = yaml.safe_load(recipe(CI, "yaml", "dvc.yaml"))["stages"]
    there = {"data/train.jsonl", "data/test.jsonl", "my-model"}
    for stage in stages.values():
        assert set(stage["deps"]) <= there
        code, _, err = checkout.run("sh", "-c", stage["cmd"])
        assert (code, err) == (0, "")
        made = {name if isinstance(name, str) else next(iter(name)) for name in stage["outs"]}
        assert all((checkout.folder / name).exists() for name in made)
        there |= made
    assert list(stages) == ["validate", "prepare", "verify"]
    checkout.train(BAD)
    assert checkout.run("sh", "-c", stages["validate"]["cmd"])[0] == 1
    found = json.loads((checkout.folder / "validated.json").read_text())
    assert found["counts"] == {"C005": 1, "D004": 1, "R002": 1}


@pytest.mark.skipif(
    importlib.util.find_spec("pre_commit") is None, reason="needs pre-commit, of the extra `dev`"
)
def test_pre_commit_stops_a_commit_of_bad_data(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The hook of this repository, with the sftcli that is there: to install it needs an index."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    config = yaml.safe_load(recipe(CI, "yaml", ".pre-commit-config.yaml"))
    (source,) = config["repos"]
    (elsewhere / "sftcli").mkdir()
    shutil.copy(HOOKS, elsewhere / "sftcli")
    git(checkout, "init", "-q", str(elsewhere / "sftcli"))
    git(checkout, "-C", str(elsewhere / "sftcli"), "add", ".")
    git(checkout, "-C", str(elsewhere / "sftcli"), "commit", "-qm", "hooks")
    git(checkout, "-C", str(elsewhere / "sftcli"), "tag", source["rev"])
    source["repo"] = str(elsewhere / "sftcli")
    source["hooks"][0]["language"] = "system"
    (checkout.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))

    git(checkout, "init", "-q")
    git(checkout, "add", ".pre-commit-config.yaml", "data")
    run = (sys.executable, "-m", "pre_commit", "run", "--color", "never")
    settled = {"PRE_COMMIT_HOME": str(elsewhere / "home")}
    code, out, _ = checkout.run(*run, **settled)
    assert (code, re.sub(r"\.{3,}", "...", out).splitlines()[1:]) == (0, ["sftcli validate...Passed"])

    checkout.train(BAD)
    git(checkout, "add", "data")
    code, out, _ = checkout.run(*run, **settled)
    assert code == 1
    assert "- hook id: sftcli-validate\n- exit code: 1\n" in out
    assert FINDINGS in out

    git(checkout, "rm", "-q", "--cached", "-r", "data")
    code, out, _ = checkout.run(*run, **settled)
    assert (code, "(no files to check)Skipped" in out) == (0, True)


def git(checkout: Checkout, *command: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    code, out, err = checkout.run("git", *who, *command)
    assert code == 0, out + err


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("data/train.jsonl", True),
        ("train.jsonl.gz", True),
        ("train.jsonl.zst", True),
        ("train.jsonl.bz2", True),
        ("train.jsonl.xz", True),
        ("train.json", False),
        ("train.jsonl.md", False),
        ("trainjsonl", False),
    ],
)
def test_the_hook_takes_json_lines(name: str, taken: bool) -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    assert bool(re.search(hook["files"], name)) is taken


def test_ten_faults_are_shown_and_are_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (ROOT / "docs" / "ten-faults.jsonl").read_text(encoding="utf-8")
    assert f"\n```\n{data}```\n" in VALIDATE
    monkeypatch.chdir(ROOT / "docs")
    found = json.loads(run_sftcli("validate", "ten-faults.jsonl", "--format", "json").out)
    assert [finding["line"] for finding in found["findings"]] == list(range(2, 12))
    assert len({finding["code"] for finding in found["findings"]}) == 10
    for format_ in ("json", "jsonl", "github", "junit", "sarif"):
        assert f"\n$ sftcli validate ten-faults.jsonl --format {format_}\n" in VALIDATE


def test_the_settings_of_a_pyproject_are_taken(checkout: Checkout) -> None:
    assert checkout.run("sftcli", "validate", "data/train.jsonl")[:2] == (
        0,
        "All checks passed: 2 records in 1 file\n",
    )
    (checkout.folder / "pyproject.toml").write_text(recipe(VALIDATE, "toml"))
    checkout.train(
        GOOD + GOOD + '{"instruction": "Tell a story.", "output": "Once upon a time there<|im_end|>"}\n'
        '{"instruction": "Tell another.", "output": "There was a man who"}\n'
    )
    code, out, err = checkout.run("sftcli", "validate", "data/train.jsonl")
    assert code == 1
    assert err == "failed: C005: 1 of 6 records, over its limit of 0\n"
    assert (
        out
        == """\
data/train.jsonl:5:67: warning: C005 control_text: '<|im_end|>' in the data
data/train.jsonl:6:63: warning: C013 cut_answer: the answer ends in the middle of a sentence: 'was a man who'
2 warnings: 6 records in 1 file
`sftcli rules CODE` explains a rule.
"""
    )
    checkout.train(BAD)
    _, out, err = checkout.run("sftcli", "validate", "data/train.jsonl")
    assert "error: D004 prompt_in_other_set: " in out
    assert "failed: 2 of 4 records are bad, over the limit of 1%\n" in err


def test_a_folder_that_was_changed_is_told_as_shown(checkout: Checkout) -> None:
    (checkout.folder / "gsm8k.jsonl").symlink_to(ROOT / "sftcli" / "data" / "examples" / "gsm8k.jsonl")
    (checkout.folder / "qa.yaml").symlink_to(ROOT / "configs" / "templates" / "qa.yaml")
    command, *_ = re.findall(r"^\$ (sftcli prepare .*)$", VERIFY, re.MULTILINE)
    assert checkout.script(command)[0] == 0
    (shard,) = (checkout.folder / "out").glob("*.parquet")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (checkout.folder / "out" / "notes.txt").write_text("Look at row 7.\n")
    code, out, _ = checkout.script("sftcli verify out")
    assert code == 1
    # The hashes are those of one version of pyarrow.
    shown, printed = (re.sub(r"\b[0-9a-f]{12}\.\.\.", "HASH", text) for text in (recipe(VERIFY, "text"), out))
    assert printed == shown

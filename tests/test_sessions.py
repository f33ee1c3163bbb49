"""Golden sessions: what the commands print, all of it, as their users meet it.

A golden case (golden/cli-*.txt, stats-*.txt, validate-*.txt, verify-*.txt) is a session: files (from
`>>> NAME` to `<<<`), and commands (`$ sftcli ...`), each with what it prints, the lines on stderr after
`! `, and, where it is not 0, its exit code (`? 2`). Times, sizes and versions are left out.
`python tests/test_sessions.py` runs the sessions anew and writes down what they print, and the diff is
there to be read.
"""

import itertools
import os
import re
import shlex
import tempfile
from pathlib import Path

import pytest
from conftest import CONFIGS, EXAMPLES, Ended, Here, run_sftcli
from huggingface_hub.constants import HF_HUB_CACHE

GOLDEN = sorted(
    path
    for command in ("cli", "stats", "validate", "verify")
    for path in (Path(__file__).parent / "golden").glob(f"{command}-*.txt")
)

_CHANGING = [  # what differs from run to run, or from one version of a library to the next
    (r"\d+\.\d\d s(, \d+\.\d MB/s)?\n", "0.00 s\n"),
    (r"engine (\w+) [\d.]+\w*", r"engine \1 1.2.3"),
    (r"(shards?), [\d.]+ [kM]B", r"\1, 0.0 kB"),
]


def answer(ended: Ended) -> str:
    """What a command prints, as a golden file has it."""
    text = ended.out + "".join(f"! {line}\n" for line in ended.err.splitlines())
    text += f"? {ended.code}\n" if ended.code else ""
    for pattern, instead in _CHANGING:
        text = re.sub(pattern, instead, text)
    return text.replace(HF_HUB_CACHE, "CACHE").replace(os.getcwd(), "HERE")


def session(case: str, run: Here) -> str:
    """A golden case with the answers that its commands get now, run in the current folder."""
    Path("configs").symlink_to(CONFIGS)
    Path("examples").symlink_to(EXAMPLES)
    shown, lines = "", iter(case.splitlines(keepends=True))
    for line in lines:
        if line.startswith("# "):
            shown += "\n" * bool(shown) + line
        elif line.startswith(">>> "):
            content = "".join(itertools.takewhile(lambda line: line != "<<<\n", lines))
            Path(line.removeprefix(">>> ").rstrip("\n")).write_bytes(content.encode())
            shown += f"\n{line}{content}<<<\n"
        elif line.startswith("$ sftcli"):
            shown += "\n" + line + answer(run(*shlex.split(line)[2:]))
    return shown


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.stem)
def test_a_session_is_as_in_its_golden_file(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    said = case.read_text(encoding="utf-8")
    assert session(said, sftcli_here) == said


def test_there_are_golden_sessions() -> None:
    assert [case.stem for case in GOLDEN] == [
        *("cli-bad-records", "cli-inspect", "cli-prepare", "cli-shaping", "cli-templates", "cli-usage"),
        *("stats-compare", "stats-one", "stats-usage", "validate-session", "verify-folder"),
    ]


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    here = Path.cwd()
    for golden in GOLDEN:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            golden.write_text(session(golden.read_text(encoding="utf-8"), run_sftcli), encoding="utf-8")
            os.chdir(here)

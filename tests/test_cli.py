"""The command line as its users meet it: what is printed where, and how a command ends."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_tokenizers
from conftest import CONFIGS, EXAMPLES, Ended, Here, make, run_sftcli, tree

import sftcli
from sftcli.templates import builtin_names

COMMANDS = [
    ["prepare"],
    ["inspect"],
    ["verify"],
    ["stats"],
    ["templates"],
    ["templates", "list"],
    ["templates", "show"],
]
CHAT = str(EXAMPLES / "chat.jsonl")
CHATML = ("-t", "demo", "--template", "chatml")


def test_every_template_is_shown_in_the_golden_session() -> None:
    shown = (Path(__file__).parent / "golden" / "cli-templates.txt").read_text(encoding="utf-8")
    ready = sorted(f"configs/templates/{path.name}" for path in (CONFIGS / "templates").iterdir())
    asked = [line.split()[4] for line in shown.splitlines() if line.startswith("$ sftcli templates show")]
    assert asked[: len(builtin_names()) + len(ready)] == [*builtin_names(), *ready]


# Help and version


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_what_and_gives_an_example(sftcli_here: Here, command: list[str], flag: str) -> None:
    ended = sftcli_here(*command, flag)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: sftcli {' '.join(command)} ")
    if command != ["templates"]:
        assert re.search(rf"^  sftcli {' '.join(command)} ?", ended.out, re.MULTILINE)
    assert not re.search(r"^  +--?\w[^ ]*( [A-Z\[][^ ]*)?$\s+-", ended.out, re.MULTILINE), (
        "an option without help"
    )


def test_help_lists_the_commands_with_an_example(sftcli_here: Here) -> None:
    ended = sftcli_here("--help")
    assert (ended.code, ended.err) == (0, "")
    assert "\n  sftcli prepare " in ended.out
    listed = re.findall(r"^  (\w+)  ", ended.out.partition("Commands:")[2], re.MULTILINE)
    assert listed == ["prepare", "inspect", "stats", "validate", "verify", "rules", "templates"]


def test_no_arguments_is_a_usage_error_that_shows_the_help(sftcli_here: Here) -> None:
    assert sftcli_here() == Ended(2, "", sftcli_here("--help").out)


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(sftcli_here: Here, flag: str) -> None:
    assert sftcli_here(flag) == Ended(0, f"sftcli {sftcli.__version__}\n", "")


# Whole processes


def test_python_m_sftcli() -> None:
    assert run_sftcli("--version") == Ended(0, f"sftcli {sftcli.__version__}\n", "")


def imported(*args: str) -> set[str]:
    """The top-level modules that a command has imported when it is done."""
    code = "import sys\nfrom sftcli.cli import _run\ncode = _run()\nprint(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, check=True, text=True)
    return {name.partition(".")[0] for name in ended.stderr.split()}


HEAVY = {"datasets", "jinja2", "numpy", "pandas", "pyarrow", "tokenizers", "torch", "transformers"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["prepare", "--help"], ["templates", "--help"]])
def test_help_loads_no_library(args: list[str]) -> None:
    found = imported(*args)
    assert "click" in found
    assert not found & HEAVY


def test_a_role_template_needs_neither_jinja_nor_the_large_libraries(tmp_path: Path) -> None:
    found = imported("prepare", CHAT, *CHATML, "-o", str(tmp_path / "out"), "--quiet")
    assert (tmp_path / "out" / "manifest.json").exists()
    assert found & HEAVY == {"numpy", "pyarrow", "tokenizers"}


@pytest.mark.parametrize(
    ("args", "code"),
    [(("inspect", "nowhere.jsonl"), 2), (("prepare", "in.jsonl", *CHATML, "-o", "out"), 1)],
)
def test_traceback_only_with_debug(tmp_path: Path, args: tuple[str, ...], code: int) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n")
    plain, debug = (run_sftcli(*args, *flags, cwd=tmp_path) for flags in ((), ("--debug",)))
    assert (plain.code, plain.out) == (debug.code, debug.out) == (code, "")
    assert plain.err.startswith("error: ")
    assert plain.err.count("\n") == 1
    assert debug.err.startswith("Traceback (most recent call last):\n")
    said = debug.err.splitlines()[-1].partition(": ")[2]
    # The plain message tells the rule that a file breaks before it.
    assert plain.err in (f"error: {said}\n", f"error: J112 empty_input: {said}\n")


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    rows = ["--row", "2"] * 400  # more than a pipe holds
    command = [sys.executable, "-m", "sftcli", "inspect", str(tmp_path / "out"), *rows]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == f"{CHAT}:3 · row 2\n".encode()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_fault_of_the_environment(tmp_path: Path) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    command = [sys.executable, "-m", "sftcli", "inspect", str(tmp_path / "out")]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (3, b"error: No space left on device\n")


# What is printed where


def test_json_is_one_object_and_nothing_else(tmp_path: Path, sftcli_here: Here) -> None:
    out = str(tmp_path / "out")
    ended = sftcli_here(
        "prepare", CHAT, *CHATML, "-o", out, "--max-length", "100", "--pad-token", "<P>", "--json"
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == 1
    found = json.loads(ended.out)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["counts"].items() <= found.items()
    assert found["dropped"] == {"too_long": len(found["dropped_places"]["too_long"])}
    facts = ("output", "format", "template", "record_format", "tokenizer", "tokenizer_size", "shards")
    assert [found[name] for name in facts] == [out, "parquet", "chatml", "messages", "demo", 4097, 1]
    assert found["added_tokens"] == [{"text": "<P>", "id": 4096}]
    assert found["warnings"] == []
    assert found["input_bytes"] == Path(CHAT).stat().st_size


def test_quiet_prints_nothing(tmp_path: Path, sftcli_here: Here) -> None:
    args = ("prepare", CHAT, *CHATML, "-o", str(tmp_path / "out"), "--pad-token", "<P>", "--quiet")
    assert sftcli_here(*args) == Ended(0, "", "")


def test_the_bar_is_for_terminals_unless_it_is_asked_for(tmp_path: Path, sftcli_here: Here) -> None:
    for index, (flags, shown) in enumerate(
        [((), False), (("--no-progress",), False), (("--progress",), True)]
    ):
        ended = sftcli_here("prepare", CHAT, *CHATML, "-o", str(tmp_path / str(index)), *flags)
        assert ended.code == 0
        assert ("prepare:" in ended.err) == shown
        assert "\r" not in ended.out
        assert ended.out.startswith("16 records in, 16 rows out: ")


def test_colour_is_asked_for_or_left_out(
    tmp_path: Path, sftcli_here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    inspect = ("inspect", str(tmp_path / "out"))
    plain, coloured = sftcli_here(*inspect).out, sftcli_here(*inspect, "--color", "always").out
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert sftcli_here(*inspect).out == coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert sftcli_here(*inspect).out == plain
    assert sftcli_here(*inspect, "--color", "never").out == plain


# The same rows, whatever they are read from


def test_inspect_shows_what_prepare_writes(tmp_path: Path, sftcli_here: Here) -> None:
    def rows(*args: str) -> list[list[tuple[object, ...]]]:
        asked = [flag for row in range(16) for flag in ("--row", str(row))]
        ended = sftcli_here("inspect", *args, *asked, "--format", "json")
        assert (ended.code, ended.err) == (0, "")
        found = [json.loads(line) for line in ended.out.splitlines()]
        assert [row["row"] for row in found] == list(range(16))
        for row in found:
            trained = [token for token in row["tokens"] if token["trained"]]
            assert row["counts"] == {"tokens": len(row["tokens"]), "trained": len(trained)}
        names = ("i", "id", "text", "label", "trained")
        return [[tuple(token[name] for name in names) for token in row["tokens"]] for row in found]

    for format_ in ("parquet", "arrow"):
        make(tmp_path / format_, CHAT, template="chatml", format=format_)
    raw = rows(CHAT, *CHATML)
    assert raw == rows(str(tmp_path / "parquet")) == rows(str(tmp_path / "arrow"))
    assert sum(token[4] for row in raw for token in row) == 638


def test_nothing_is_written_where_records_are_bad(tmp_path: Path, sftcli_here: Here) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"messages": 1}\n')
    ended = sftcli_here("prepare", str(tmp_path / "in.jsonl"), *CHATML, "-o", str(tmp_path / "deep" / "out"))
    assert (ended.code, ended.out) == (1, "")
    assert list(tree(tmp_path)) == ["in.jsonl"]


# Names of files and folders


def test_a_folder_named_demo_is_not_the_demo_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in ("demo", "again"):  # the second run finds the first one's output beside it
        assert sftcli_here("prepare", CHAT, *CHATML, "-o", out, "--quiet") == Ended(0, "", "")
    assert tree(Path("demo")) == tree(Path("again"))
    # A folder that holds a tokenizer is one, whatever its name.
    Path("other").mkdir()
    shutil.copytree(small_tokenizers.chatml(tmp_path / "small").name, "other/demo")
    monkeypatch.chdir("other")
    assert sftcli_here("prepare", CHAT, *CHATML, "-o", "out", "--quiet") == Ended(0, "", "")
    saved = (tmp_path / "other" / "demo" / "tokenizer.json").read_bytes()
    assert Path("out/tokenizer/tokenizer.json").read_bytes() == saved


ABOUT_ROWS = [
    *("-t x", "--tokenizer x", "--template x", "--spans marks", "--injected mask", "--system x"),
    *("--record-format text", "--field a=b", "--train-on all", "--train-on-eos none", "--max-length 5"),
    *("--limit 0", "--truncation drop", "--pad-token x", "--encoder auto", "--config own.yaml"),
]


@pytest.mark.parametrize("option", ABOUT_ROWS)
def test_a_prepared_folder_takes_no_option_that_says_how_rows_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    given, value = option.split()
    name = "--tokenizer" if given == "-t" else given
    assert sftcli_here("inspect", "out", given, value) == Ended(
        *(2, ""),
        f"error: {name}: out is a prepared folder, whose manifest says how its rows were made; "
        "leave the option out, or name raw data\n",
    )


ESCAPE, WRITTEN_OUT = "\x1b[31mred\x07", r"\x1b[31mred\x07"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("prepare", f"{ESCAPE}.jsonl"), 2, "{}.jsonl: no file matches this pattern (looked in HERE)"),
        (("inspect", ESCAPE), 2, "{}: no file matches this pattern (looked in HERE)"),
        (("prepare", "--config", ESCAPE), 2, "{}: cannot be read: No such file or directory"),
        (("templates", "show", f"{ESCAPE}.yaml"), 2, "{}.yaml: cannot be read: No such file or directory"),
        (
            ("prepare", f"odd{ESCAPE}"),
            1,
            "R001 unknown_format: odd{}: no known record format: the fields there are 'x\\x1b'; known "
            "are alpaca",
        ),
        (("prepare", "in.jsonl", "-o", f"there{ESCAPE}/x"), 3, "there{}/x: cannot be written: Not a dir"),
    ],
    ids=["input", "source", "config", "template", "format", "output"],
)
def test_a_message_prints_no_control_character_of_a_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here, args: Any, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"there{ESCAPE}").touch()
    Path(f"odd{ESCAPE}").write_bytes(b'{"x\\u001b": 1}\n')
    Path("in.jsonl").write_bytes(b'{"prompt": "a", "completion": "b"}\n')
    more = ("-t", "demo", *(() if "-o" in args else ("-o", "out"))) if args[0] == "prepare" else ()
    ended = sftcli_here(*args, *more)
    expected = message.format(WRITTEN_OUT).replace("HERE", str(tmp_path))
    assert (ended.code, ended.out, ended.err[: len("error: " + expected)]) == (code, "", "error: " + expected)
    assert [char for char in ended.err if not char.isprintable()] == ["\n"]

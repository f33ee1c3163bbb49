"""`sftcli validate`: every rule at its place, whatever the road by which the data is read."""

import bz2
import gzip
import json
import lzma
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from conftest import CONFIGS, EXAMPLES, Ended, Here, chat, jsonl, run_sftcli, write
from hypothesis import given
from hypothesis import strategies as st
from test_cli import imported

from sftcli.config import load_config
from sftcli.conversation import Conversation, Message
from sftcli.errors import ConfigError, EnvironmentFault, InternalError
from sftcli.findings.finding import Finding
from sftcli.read import LineBlock
from sftcli.rules.catalogue import RULES
from sftcli.validate import validate as whole_run
from sftcli.validate.content import CONTROL_TEXTS, ContentRules
from sftcli.validate.forked import in_order
from sftcli.validate.overlap import OtherSet
from sftcli.validate.place import Places
from sftcli.validate.settings import Limit, Settings, load_settings, parse_limit
from sftcli.validate.suspects import Suspects
from sftcli.validate.texts import Text, texts_of
from sftcli.validate.validate import validate

pytestmark = pytest.mark.usefixtures("own_folder")

GOOD = {"prompt": "2+2=", "completion": "4"}


def found(*inputs: Path | str, options: dict[str, Any] | None = None, **settings: Any) -> list[Finding]:
    config = load_config(None, {"inputs": list(map(str, inputs)), **(options or {})})
    return validate(config, Settings(**settings)).findings.kept


def places(findings: Sequence[Finding]) -> list[tuple[str, int | None, int | None]]:
    return [(one.code, one.line, one.column) for one in findings]


def test_the_bundled_examples_break_few_rules(sftcli_here: Here) -> None:
    ended = sftcli_here("validate", str(EXAMPLES / "alpaca.jsonl"), "-t", "demo")
    assert ended == Ended(0, "All checks passed: 16 records in 1 file\n", "")
    fields = ("--field", "prompt=question", "--field", "completion=answer")
    ended = sftcli_here("validate", str(EXAMPLES / "gsm8k.jsonl"), *fields)
    assert ended == Ended(0, "All checks passed: 200 records in 1 file\n", "")
    # One of its users talks about control tokens.
    chats = found(EXAMPLES / "chat.jsonl")
    assert places(chats) == [("C005", 5, 65), ("C005", 5, 147), ("C005", 5, 329)]


# Content, text by text

ANSWERS = [
    ("plain", "C004 to C011 find nothing here.", []),
    ("tab and line breaks", "a\tb\r\nc", []),
    ("NUL", "a\0b", [("C008", 1)]),
    ("DEL", "ab\x7f", [("C008", 2)]),
    ("C1", "a\x85b", [("C008", 1)]),
    ("form feed", "a\fb", [("C008", 1)]),
    ("replacement", "a\ufffd", [("C006", 1)]),
    ("override", "a\u202eb", [("C009", 1)]),
    ("isolate", "\u2066b\u2069", [("C009", 0)]),
    ("marks of right-to-left writing", "\u200fשלום\u200e", []),
    ("two letters garbled", "CafÃ©", [("C007", 3)]),
    ("quotes garbled", "â€œYesâ€\x9d", [("C007", 0), ("C008", 8)]),
    ("Cyrillic garbled", "Ð¿Ñ\x80Ð¸Ð²ÐµÑ‚", [("C007", 0), ("C008", 3)]),
    ("French", "L’été «là» à São Paulo… £5 É®", []),
    ("capitals", "CAFÉ®, SÃO PAULO, Ärger; ÆØÅ", []),
    ("CJK", "日本語。", []),
    ("fence closed", "```py\nx\n```", []),
    ("fence open", "a\n```py\nx", [("C010", 2)]),
    ("fence in a fence", "````md\n```py\nx\n```\n````", []),
    ("fence closed by a longer one", "```\nx\n`````", []),
    ("fence with words behind its end", "```\nx\n``` and so on", [("C010", 0)]),
    ("second fence open", "```\na\n```\n```\nb", [("C010", 10)]),
    ("fence in a list", "1. Do:\n   ```sh\n   ls\n   ```", []),
    ("fence inside a line", "Write ``` to open a block.", []),
    ("three backticks around code", "Use ```x``` here", []),
    ("think", "<think>a</think>b", []),
    ("think open", "a<think>b", [("C011", 1)]),
    ("think closed only", "b</think>c", [("C011", 1)]),
    ("think twice open", "<think><think>b</think>", [("C011", 7)]),
    ("control text", "a</s><|im_end|>", [("C005", 5)]),
    ("DeepSeek's", "<｜Assistant｜>", [("C005", 0)]),
    ("pipes", "a <| b |> c", []),
    ("HTML", "<s>old</s> <b>new</b>", []),
    ("AWS", "AKIA" + "QWERTYUIOPASDFGH", [("C015", 0)]),
    ("AWS in its docs", "AKIAIOSFODNN7" + "EXAMPLE", []),
    ("a token of one letter", "ghp_" + "a" * 36, []),
    ("a word that begins alike", "hf_hub_download(repo)", []),
    ("PEM header alone", "Starts with -----BEGIN PRIVATE KEY-----, then base64.", []),
    (
        "PEM in code",
        'k = "-----BEGIN EC PRIVATE ' + 'KEY-----\\n"\n    "MHcCAQEEIIGLlamP0i4Q"',
        [("C014", 5)],
    ),
]


@pytest.mark.parametrize(("name", "answer", "expected"), ANSWERS, ids=[name for name, _, _ in ANSWERS])
@pytest.mark.parametrize("written", ["as it is", "escaped"])
def test_answers(name: str, answer: str, expected: list[tuple[str, int]], written: str) -> None:
    """Each flaw at its character, however the JSON spells it."""
    record = {"prompt": "Say it.", "completion": answer}
    line = json.dumps(record, ensure_ascii=written == "escaped")
    if written == "escaped":
        line = (
            line.replace("/", "\\/").replace("<", "\\u003c").replace("`", "\\u0060").replace("\\f", "\\u000c")
        )
        line = line.replace("A", "\\u0041").replace("h", "\\u0068")
        line = line.replace('"complet', '"complet')
    Path("data.jsonl").write_text(line + "\n", encoding="utf-8")
    findings = found("data.jsonl")
    assert [(one.code, char_at(line, one.column)) for one in findings] == expected


def char_at(line: str, column: int | None) -> int:
    """How many characters of the answer stand before a column of the line."""
    start = line.index('": "', line.index("omplet")) + 4
    assert column is not None
    # Column `start` is the quote, which stands for the first character.
    return len(json.loads(f'"{line[start : column - 1]}"')) if column > start else 0


CUT = [
    ("The capital of France is Paris, which lies on the", True),
    ("It is big. The other one has a small and red", True),
    ("First come the apples, then the pears,", True),
    ("The capital of France is Paris.", False),
    ("Paris", False),
    ("one two three four five six seven", False),
    ("- a list of things\n- without any full stop", False),
    ("He said: “It is over there”", False),
    ("```\nfor x in the\n```", False),
]


@pytest.mark.parametrize(("answer", "is_cut"), CUT)
def test_cut_answers(answer: str, is_cut: bool) -> None:
    write(Path("data.jsonl"), {"prompt": "Say it.", "completion": answer})
    assert [one.code for one in found("data.jsonl", select=["C013"])] == ["C013"] * is_cut
    assert found("data.jsonl") == []


PIECES = (
    *CONTROL_TEXTS, "```\n", "<think>", "</think>", "\ufffd", "\u202e", "\x07", "\x7f", "Ã©", "é", "日",
    "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R", "\n", " ", "word ", "\\b", "\\u", '"', "/", "\\",
)  # fmt: skip


@given(
    st.lists(
        st.lists(
            st.sampled_from(PIECES),
            max_size=6,
        ).map("".join),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.booleans(),
)
def test_no_line_that_breaks_a_rule_is_passed_over(texts: list[str], ascii_only: bool, slashes: bool) -> None:
    """What the quick look at a block's bytes leaves out has nothing in it; the slow way looks at all."""
    rules = ContentRules({rule.name for rule in RULES.values()} - {"cut_answer"})
    lines = [json.dumps({"text": text}, ensure_ascii=ascii_only).encode() for text in texts]
    lines = [line.replace(b"/", b"\\/") for line in lines] if slashes else lines
    groups = Suspects(rules).of(LineBlock("data.jsonl", 0, lines))
    for index, text in enumerate(texts):
        answer = Text(text, ("text",), "answer")
        assert list(rules.flaws(answer, groups.get(index, 0))) == list(rules.flaws(answer))


@given(st.text(max_size=12), st.integers(0, 11), st.booleans())
def test_the_column_is_that_of_the_character(text: str, at: int, ascii_only: bool) -> None:
    text = text.encode(errors="ignore").decode()
    at = min(at, len(text))
    line = json.dumps({"a": [1, text]}, ensure_ascii=ascii_only)
    column = Places(line).column(("a", 1), at)
    assert json.loads(f'"{line[11 : column - 1]}"') == text[:at]


# Texts of each format

FORMATS = [
    ({"instruction": "A", "input": "B", "output": "C", "history": [["D", "E"]]}, "alpaca", "D E A B C"),
    ({"prompt": "A", "completion": "B"}, "prompt_completion", "A B"),
    ({"prompt": [{"role": "user", "content": "A"}], "response": "B"}, "prompt_completion", "A B"),
    (chat("A", "B", "C"), "messages", "A B C"),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}
            ]
        },
        *("messages", "A B"),
    ),
    (
        {"messages": [{"role": "assistant", "content": None, "reasoning_content": "A"}]},
        *("messages", "A"),
    ),
    (
        {"system": "S", "conversations": [{"from": "human", "value": "A"}, {"from": "gpt", "value": "B"}]},
        *("sharegpt", "S A B"),
    ),
    ({"segments": [{"text": "A", "label": False}, {"text": "B", "label": True}]}, "segments", "A B"),
    ({"text": "A", "id": "x"}, "text", "A"),
    ({"id": 7, "x": "A", "y": "B"}, None, "A B"),
]


@pytest.mark.parametrize(("record", "record_format", "texts"), FORMATS)
def test_texts_of_each_format(record: dict[str, Any], record_format: str | None, texts: str) -> None:
    assert [text.text for text in texts_of(record, record_format, {})] == texts.split()
    for text in texts_of(record, record_format, {}):
        value: Any = record
        for key in text.path:
            value = value[key]
        assert value == text.text


def test_fields_under_names_of_their_own() -> None:
    write(Path("data.jsonl"), {"q": "Hi ", "a": "Yes\ufffd"}, {"q": "Hi", "a": ""})
    options = {"field": {"prompt": "q", "completion": "a"}}
    assert places(found("data.jsonl", options=options)) == [("C012", 1, 10), ("C006", 1, 23), ("C001", 2, 18)]


# Files


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("", lambda data: data),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_compressed_files_say_the_same(suffix: str, pack: Callable[[bytes], bytes]) -> None:
    data = b"\xef\xbb\xbf" + jsonl(GOOD, {"prompt": "Hi"}) + b"\r\n" + jsonl(GOOD)
    Path(f"data.jsonl{suffix}").write_bytes(pack(data))
    assert places(found(f"data.jsonl{suffix}")) == [
        *(("J021", 1, 1), ("R002", 2, 1), ("J022", 3, 1), ("J023", 3, 1), ("D001", 4, 1))
    ]


def test_standard_input() -> None:
    ended = run_sftcli("validate", "-", stdin=jsonl(GOOD, {"prompt": "Hi"}))
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("-:2:1: error: R002 missing_field: field 'completion' is missing")


def test_a_json_array_counts_its_elements() -> None:
    Path("data.json").write_text(json.dumps([GOOD, {"prompt": "Hi", "completion": ""}], indent=1))
    assert places(found("data.json")) == [("C001", 2, 37)]


def test_a_file_that_breaks_off_keeps_what_was_found_before() -> None:
    data = gzip.compress(jsonl(*({"prompt": f"Hi {n}", "completion": ""} for n in range(30_000))))
    Path("data.jsonl.gz").write_bytes(data[:-100])
    codes = [one.code for one in found("data.jsonl.gz", max_bad="100%")]
    assert codes == ["J101", *["C001"] * 1000]


def test_limit_counts_over_all_files(sftcli_here: Here) -> None:
    write(Path("a.jsonl"), *[{"prompt": "a", "completion": ""}] * 3)
    write(Path("b.jsonl"), *[{"prompt": "a", "completion": ""}] * 3)
    assert [one.file for one in found("a.jsonl", "b.jsonl", options={"limit": 4})] == ["a.jsonl"] * 3 + [
        "b.jsonl"
    ]


def test_lines_behind_the_limit_are_not_looked_at() -> None:
    good = jsonl({"prompt": "a", "completion": "b"})
    Path("a.jsonl").write_bytes(b"\n" + good + b"\n" + good)
    for limit, message in ((1, "the line is blank"), (2, "the line is blank, as 1 more does")):
        [one] = found("a.jsonl", options={"limit": limit}, select=["J023"])
        assert (one.line, one.message) == (1, message)


# Many splits and processes


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of many splits with faults of all kinds in it."""
    monkeypatch.setattr(whole_run, "_SPLIT_BYTES", 2_000)
    random_ = random.Random(0)
    kinds: list[bytes] = [
        *(
            jsonl({"prompt": f"Question {n}", "completion": f"Answer {n}, in a few words"})
            for n in range(300)
        ),
        *(jsonl({"prompt": f"Question {n}", "completion": ""}) for n in range(20)),
        *(jsonl({"prompt": f"Question {n}", "completion": "a\ufffd"}) for n in range(20)),
        *([b"{\n", b"\n", b'{"prompt": "Hi"}\r\n'] * 5),
    ]
    random_.shuffle(kinds)
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"".join(kinds))
    return path


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_processes_and_splits_change_nothing(
    many: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    options = {"inputs": [str(many)], "record_format": "prompt_completion"}
    config = load_config(None, options)
    split = validate(config, Settings(num_proc=workers))
    monkeypatch.setattr(whole_run, "_SPLIT_BYTES", 1 << 30)
    assert validate(config, Settings(num_proc=1)) == split
    assert split.findings.counts.total() == len(split.findings.kept)
    counts = dict(split.findings.counts)
    assert counts == {"D002": 20, "C001": 20, "C006": 20, "J006": 5, "J022": 1, "J023": 1, "R002": 5}


def test_what_is_left_in_doubt_is_settled_as_in_the_split() -> None:
    """More doubtful texts than a split leaves open, letters that are meant among them."""
    answers = ["Ó£ and NestlÃ©", "Ó£ CÔ–LA", "Best", "Ã“ nÃ£o"] * 20
    Path("data.jsonl").write_bytes(b"".join(jsonl({"prompt": "Say", "completion": text}) for text in answers))
    told = found("data.jsonl", select=["C007"])
    columns = {"Ó£ and NestlÃ©": 46, "Ã“ nÃ£o": 34}
    assert places(told) == [
        ("C007", line, columns[text]) for line, text in enumerate(answers, 1) if text in columns
    ]
    # A rule that makes bad records is settled where they are read.
    assert found("data.jsonl", select=["C007"], strict=True) == told


def test_lines_are_those_of_the_whole_file(many: Path) -> None:
    lines = many.read_bytes().split(b"\n")
    findings = found(many, options={"record_format": "prompt_completion"}, select=["C", "R"])
    assert len(findings) == 45
    for one in findings:
        assert one.line is not None
        line = lines[one.line - 1]
        assert {"C001": b'"completion": ""', "C006": "\ufffd".encode(), "R002": b"}\r"}[one.code] in line


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_reading_stops_at_the_same_place(many: Path, workers: int) -> None:
    config = load_config(None, {"inputs": [str(many)], "record_format": "prompt_completion"})
    stopped = validate(config, Settings(num_proc=workers, max_errors=5, select=["C"]))
    assert stopped.findings.partial
    assert [one.code for one in stopped.findings.kept].count("C001") == 5
    assert stopped == validate(config, Settings(num_proc=1, max_errors=5, select=["C"]))
    counted = validate(config, Settings(num_proc=workers, max_errors=5, select=["C"], max_bad="50%"))
    assert not counted.findings.partial
    assert counted.findings.counts == {"C001": 20, "C006": 20}
    assert [one.code for one in counted.findings.kept].count("C001") == 5


def test_results_come_in_order() -> None:
    assert list(in_order(lambda n: n * n, range(50), 4)) == [n * n for n in range(50)]


def test_results_larger_than_a_pipe_come_through() -> None:
    assert [len(part) for part in in_order(lambda n: b"x" * n, [5 << 20] * 4, 2)] == [5 << 20] * 4


def test_what_fails_in_a_process_is_raised(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"^disk: cannot be read$"):
        list(in_order(OnceAnother(tmp_path / "1", fail_of_disk), range(5), 2))
    with pytest.raises(InternalError, match=r"^ValueError: no$"):
        list(in_order(OnceAnother(tmp_path / "2", fail_of_value), range(5), 2))


def test_an_item_over_which_a_process_is_killed_is_done_again(tmp_path: Path) -> None:
    assert list(in_order(Deadly(tmp_path, 1), range(40), 3)) == list(range(40))
    assert list(tmp_path.iterdir())
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_item_over_which_two_processes_are_killed_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        list(in_order(Deadly(tmp_path, 2), range(40), 2, name="item {}".format))
    first, second = sorted(path.name for path in tmp_path.iterdir())
    number = first.partition("-")[0]
    assert (first, second) == (f"{number}-0", f"{number}-1")
    assert str(caught.value) == (
        f"item {number}: two worker processes in turn were ended from outside, perhaps for want of memory; "
        "run again, or with --num-proc 1"
    )
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


class Deadly:
    """A task whose first item kills the process that it is done by, so many `times`, but not the first one.

    That waits until it has happened once.
    """

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times, self.first = folder, times, os.getpid()

    def __call__(self, number: int) -> int:
        if os.getpid() != self.first:
            killed = [path.name.partition("-")[0] for path in self.folder.iterdir()]
            own = killed.count(str(number))
            if own < self.times and (own or not killed):
                (self.folder / f"{number}-{own}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return number
        until = time.monotonic() + 20
        while not list(self.folder.iterdir()) and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(0.01)
        return number


def test_processes_that_are_killed_at_any_moment_lose_nothing() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("this system does not tell a process's children")
    for wait in range(12):
        results = in_order(slow, range(200), 2)
        got = [next(results)]
        time.sleep(wait / 2000)
        os.kill(int(children.read_text()), signal.SIGKILL)
        assert got + list(results) == list(range(200))


def slow(number: int) -> int:
    time.sleep(0.0005)
    return number


def test_file_numbers_over_a_thousand_can_be_waited_for() -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 1200:
        pytest.skip("this system allows no process so many files")
    program = (
        "import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1200, 1200))\n"
        "taken = [os.open(os.devnull, 0) for _ in range(1100)]\n"
        "from sftcli.validate.forked import in_order\n"
        "assert list(in_order(abs, range(50), 3)) == list(range(50))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


class OnceAnother:
    """A task that another process than the first one takes part in, and there comes to `end`."""

    def __init__(self, begun: Path, end: Callable[[], None]) -> None:
        self.begun = begun
        self.end = end
        self.first = os.getpid()

    def __call__(self, number: int) -> int:
        if os.getpid() != self.first:
            self.begun.touch()
            self.end()
        until = time.monotonic() + 20
        while not self.begun.exists() and time.monotonic() < until:
            time.sleep(0.001)
        return number


def fail_of_disk() -> None:
    raise EnvironmentFault("disk: cannot be read")


def fail_of_value() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("workers", [2, 3])
def test_items_that_take_long_keep_their_place(workers: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.1 if number < 2 else 0)
        return number

    assert list(in_order(slow_at_first, range(300), workers)) == list(range(300))


def test_no_item_far_ahead_is_begun(tmp_path: Path) -> None:
    def note(number: int) -> int:
        (tmp_path / str(number)).touch()
        return number

    results = in_order(note, range(1000), 2)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) <= 16
    assert list(results) == list(range(1, 1000))


def test_no_process_is_left_behind() -> None:
    results = in_order(lambda n: n, range(10_000), 3)
    assert next(results) == 0
    results.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(jsonl(*({"prompt": f"{n}", "completion": "x" * 2000} for n in range(60_000))))
    command = [sys.executable, "-m", "sftcli", "validate", str(path), "--num-proc", "3"]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parent)}
    with subprocess.Popen(command, start_new_session=True, env=environment, stderr=subprocess.PIPE) as run:
        until = time.monotonic() + 20
        while len(session_of(run.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        run.send_signal(number)
        _, said = run.communicate(timeout=20)
    assert (run.returncode, said.strip()) == {
        signal.SIGINT: (130, b"interrupted"),
        signal.SIGTERM: (143, b"terminated"),
    }[number]
    assert session_of(run.pid) == []


def session_of(pid: int) -> list[str]:
    """The processes of a session that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[3]) == pid and after_name[0] != "Z":
            found.append(stat.parent.name)
    return found


# What is there twice


def test_repeats_name_the_first_one() -> None:
    write(Path("a.jsonl"), chat("Hi", "Yes"), chat("Hi", "No"), chat("Ho", "Yes"))
    write(Path("b.jsonl"), chat("Hi", "No"), {**chat("Ho", "Yes"), "id": 7}, chat("Hi", "Yes", "Ho", "No"))
    write(Path("c.jsonl"), {"instruction": "Hi", "output": "Yes"})
    findings = found("a.jsonl", "b.jsonl", "c.jsonl", select=["D"])
    assert [(one.place, one.code, one.message.rpartition(" ")[2]) for one in findings] == [
        ("a.jsonl:2:1", "D002", "a.jsonl:1"),
        ("b.jsonl:1:1", "D001", "a.jsonl:2"),
        ("b.jsonl:2:1", "D001", "a.jsonl:3"),
        ("c.jsonl:1:1", "D001", "a.jsonl:1"),
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans()), max_size=12))
def test_repeats_are_those_of_the_slow_way(records: list[tuple[str, str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("1.jsonl", "2.jsonl")]
        ordered = sorted(records, key=lambda one: one[2])
        for file, second in zip(files, (False, True), strict=True):
            write(file, chat("start", str(file)), *(chat(p, a) for p, a, other in ordered if other is second))
        expected = list(slow_repeats([chat_ for file in files for chat_ in read(file)]))
        findings = found(*files, select=["D"])
    assert sorted((one.code, Path(one.file).name, one.line) for one in findings) == sorted(expected)


def read(file: Path) -> list[tuple[str, int, str, str]]:
    records = [json.loads(line)["messages"] for line in file.read_bytes().splitlines()]
    return [(file.name, n, *(turn["content"] for turn in turns)) for n, turns in enumerate(records, 1)]


def slow_repeats(records: list[tuple[str, int, str, str]]) -> Iterator[tuple[str, str, int]]:
    for index, (file, line, prompt, answer) in enumerate(records):
        before = [one for one in records[:index] if one[2] == prompt]
        same = [one for one in before if one[3] == answer]
        if same:
            yield "D001", file, line
        if before and not same and before[0][3] != answer:
            yield "D002", file, line
        if before and before[0][0] != file and not same:
            yield "D003", file, line


# Another data set


def talk(prompt: str, answer: str = "Yes") -> Conversation:
    return Conversation([Message("user", prompt), Message("assistant", answer)])


WORDS = [f"w{n}" for n in range(40)]


def test_overlap_is_the_share_of_the_other_records_runs() -> None:
    other = OtherSet(overlap=0.5)
    other.add(talk(" ".join(WORDS[:21]), ""), "first")
    other.add(talk(" ".join(WORDS[20:33]), ""), "second")
    other.index()
    # Nine runs of 13 words are in 21 words; 17 of them hold five.
    shares = [
        list(other.overlaps([talk("so " + " ".join(WORDS[:n]).upper() + ", no?", "")])) for n in (16, 17, 21)
    ]
    assert shares == [[], [(0, "first", 5, 9, True)], [(0, "first", 9, 9, True)]]
    assert list(other.overlaps([talk("x"), talk(" ".join(WORDS[20:33]))])) == [(1, "second", 1, 1, True)]
    assert list(other.overlaps([talk(" ".join(WORDS[20:32]), " ".join(WORDS[20:32]))])) == []


def test_phrases_that_many_records_have_are_left_out() -> None:
    other = OtherSet(overlap=0)
    for n in range(11):
        other.add(talk(" ".join(WORDS[:13]), f"a{n}"), str(n))
    other.index()
    assert list(other.overlaps([talk(" ".join(WORDS[:13]), "b")])) == []


def test_the_same_prompt_but_for_case_and_space() -> None:
    other = OtherSet()
    other.add(talk("What  is\nit?"), "there")
    other.index()
    assert other.same_prompt(talk(" what is IT? ", "No")) == "there"
    assert other.same_prompt(talk("What is that?")) is None
    assert list(other.overlaps([talk("What is it?")])) == []


# Settings


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        (10, Limit(Decimal(10), False)),
        ("10", Limit(Decimal(10), False)),
        ("1%", Limit(Decimal(1), True)),
        ("0.5%", Limit(Decimal("0.5"), True)),
    ],
)
def test_limits(written: int | str, limit: Limit) -> None:
    assert parse_limit(written, "--max-bad") == limit


@pytest.mark.parametrize("written", ["", "-1", "1.5", "%", "101%", "nan", "1e3", "a%", "²"])
def test_what_is_no_limit(written: str) -> None:
    with pytest.raises(ConfigError, match=r"^--max-bad .*: expected a number of records"):
        parse_limit(written, "--max-bad")


def test_a_share_is_of_all_records() -> None:
    assert [Limit(Decimal(1), True).is_exceeded(count, 100) for count in (0, 1, 2)] == [False, False, True]
    assert [Limit(Decimal(1), False).is_exceeded(count, 100) for count in (0, 1, 2)] == [False, False, True]


def test_the_nearest_pyproject_with_a_table_counts() -> None:
    inner = Path("a/b")
    inner.mkdir(parents=True)
    Path("pyproject.toml").write_text(
        '[tool.sftcli]\nselect = ["J"]\n"fail-over" = {T001 = "1%"}\ntokenizer = "demo"\n'
    )
    (inner / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    settings, rest = load_settings(None, {"ignore": ["J001"]}, inner.absolute())
    assert settings == Settings(select=["J"], fail_over={"T001": "1%"}, ignore=["J001"])
    assert rest == {"tokenizer": "demo"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.sftcli]\nselct = []", r"unknown key 'selct'; did you mean 'select'\?"),
        ("[tool.sftcli]\nmax-bad = true", "max_bad"),
        ("[tool.sftcli]\nmax-bad = 'x'", "--max-bad x: expected a number"),
        ("[tool.sftcli]\nfail-over = {X1 = 1}", "no rule 'X1'"),
        ("[tool.sftcli]\nmax-errors = 0", "max_errors: expected 1 or more, found 0"),
        ("[tool.sftcli]\noverlap = 2.0", "overlap: expected a share from 0 to 1, found 2.0"),
        ("[tool.sftcli]\nmax-length = 'x'", "max_length"),
        ("[tool]\nsftcli = 1", "tool.sftcli: expected a table"),
        ("[tool", "not TOML"),
    ],
)
def test_mistakes_in_pyproject(text: str, message: str, sftcli_here: Here) -> None:
    Path("pyproject.toml").write_text(text)
    write(Path("data.jsonl"), GOOD)
    ended = sftcli_here("validate", "data.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert re.search(message, ended.err)


# Mending


FIXES = [
    (b'\xef\xbb\xbf{"text": "a"}\n', b'{"text": "a"}\n'),
    (b'{"text": "a"}\r\n\r\n \n{"text": "b"}', b'{"text": "a"}\n{"text": "b"}'),
    (
        '{"prompt": "Caf\u00e9\\u00e9 \\t",  "completion" :"b "}\n'.encode(),
        '{"prompt": "Caf\u00e9\\u00e9",  "completion" :" \\tb "}\n'.encode(),
    ),
    (b'{"completion": "b", "prompt": "a "}\n', b'{"completion": " b", "prompt": "a"}\n'),
    (b'{"completion": "\\nb", "prompt": "a "}\n', b'{"completion": " \\nb", "prompt": "a"}\n'),
    (b'{"completion": "b", "prompt": "a \\n"}\n', b'{"completion": "b", "prompt": "a \\n"}\n'),
    (
        b'{"messages": [{"role": "user", "content": "a "}, {"content": "b", "role": "assistant"} , '
        b'{"role": "user", "content": "c"},{"role": "user", "content": "d"} ], "id": 1}\n',
        b'{"messages": [{"role": "user", "content": "a "}, {"content": "b", "role": "assistant"} ], '
        b'"id": 1}\n',
    ),
    (
        b'{"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, '
        b'{"from": "human", "value": "c"}]}\n',
        b'{"system": "s", "conversations": [{"from": "human", "value": "a"}, '
        b'{"from": "gpt", "value": "b"}]}\n',
    ),
    (
        b'{"segments": [{"text": "a ", "label": false}, {"label": true, "text": "b "}, '
        b'{"text": "c\\u0020", "label": false}, {"text": "d", "label": true}]}\n',
        b'{"segments": [{"text": "a", "label": false}, {"label": true, "text": " b "}, '
        b'{"text": "c", "label": false}, {"text": "\\u0020d", "label": true}]}\n',
    ),
]


@pytest.mark.parametrize(("given", "mended"), FIXES)
def test_only_what_is_to_be_mended_changes(given: bytes, mended: bytes, sftcli_here: Here) -> None:
    Path("data.jsonl").write_bytes(given)
    ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", "mended.jsonl")
    assert Path("mended.jsonl").read_bytes() == mended
    assert Path("data.jsonl").read_bytes() == given
    assert (ended.code, ended.out.partition(":")[0]) == (0, "All checks passed")
    assert sorted(path.name for path in Path().iterdir()) == ["data.jsonl", "mended.jsonl"]
    again = sftcli_here("validate", "mended.jsonl", "--fix", "-o", "again.jsonl")
    assert Path("again.jsonl").read_bytes() == mended
    assert again.err == "0 mended in all; written to again.jsonl\n"


def test_rules_that_are_off_are_not_mended(sftcli_here: Here) -> None:
    given = b'{"prompt": "a ", "completion": "b"}\r\n\r\n'
    Path("data.jsonl").write_bytes(given)
    sftcli_here("validate", "data.jsonl", "--fix", "-o", "mended.jsonl", "--ignore", "J022,J023,C012")
    assert Path("mended.jsonl").read_bytes() == given


def test_bad_records_are_copied(sftcli_here: Here) -> None:
    given = b'{"prompt": "a", "completion": "b"}\n{"prompt": \xff\n[]\n'
    Path("data.jsonl").write_bytes(given)
    ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", "mended.jsonl")
    assert Path("mended.jsonl").read_bytes() == given
    assert ended.code == 1


@pytest.mark.parametrize("name", ["link.jsonl", "./data.jsonl", "data.jsonl"])
def test_the_input_is_never_written(name: str, sftcli_here: Here) -> None:
    write(Path("data.jsonl"), GOOD)
    Path("link.jsonl").symlink_to("data.jsonl")
    ended = sftcli_here("validate", "data.jsonl", "--fix", "-o", name)
    assert (ended.code, ended.out) == (2, "")
    assert Path("data.jsonl").read_bytes() == jsonl(GOOD)


# Hostile text, and what is loaded


@pytest.mark.parametrize(
    "piece",
    [
        *(
            " ",
            ">",
            "`",
            "```",
            "`` ",
            "<think>",
            "sk-",
            "sk-ant-api03-",
            "pypi-AgE-",
            "eyJ-",
            "eyJ.",
            "xoxb-1-",
        ),
        *(
            "SG.",
            "1",
            "1.",
            "a. A ",
            "É…",
            "Ã©é",
            "-----BEGIN PRIVATE KEY-----",
            "A: b\n",
            "\\n",
            "<|",
            "|>",
            "ghp_",
        ),
    ],
)
def test_no_text_keeps_a_rule_busy(piece: str) -> None:
    """It would not end if the time grew with the square."""
    rules = ContentRules({rule.name for rule in RULES.values()})
    for text in (piece * (900_000 // len(piece)), "-----BEGIN PRIVATE KEY-----" + piece * 300_000):
        flaws = list(rules.flaws(Text(text, ("text",), "answer")))
        assert all(0 <= flaw.at < len(text) for flaw in flaws)


GITHUB = "ghp_1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R "
MANY = range(30_000)


@pytest.mark.parametrize(
    ("record", "code", "begins"),
    [
        ({"prompt": "a", "completion": GITHUB * len(MANY)}, "C015", "ghp_"),
        ({"prompt": "a", "completion": ('\n"' + GITHUB) * len(MANY)}, "C015", "ghp_"),
        ({"text": "a", "kept": {"list": [GITHUB for _ in MANY]}}, "C015", "ghp_"),
        ({"text": "a", "keys": {f"k{n}": {GITHUB: n} for n in MANY}}, "C015", "ghp_"),
        ({"text": "a", "packed": json.dumps(['"' + GITHUB for _ in MANY])}, "C015", "ghp_"),
        (
            {"messages": [{"role": role, "content": str(n)} for n in MANY for role in ("user", "assistant")]},
            "C004",
            r'(?<="assistant", "content": )',
        ),
        ({"segments": [{"text": "Ã©", "label": True} for _ in MANY]}, "C007", "Ã©"),
        (
            {"segments": [{"text": text, "label": text == "b"} for _ in MANY for text in ("a ", "b")]},
            "C012",
            '(?<=a) "',
        ),
    ],
)
def test_many_findings_in_one_record(record: dict[str, Any], code: str, begins: str) -> None:
    """Each at its place. It would not end if the line were gone through for each of them."""
    line = json.dumps(record, ensure_ascii=False)
    Path("data.jsonl").write_bytes(line.encode() + b"\n")
    expected = [(code, 1, match.start() + 1) for match in re.finditer(begins, line)]
    assert places(found("data.jsonl", select=[code])) == expected[:1000]


def test_many_fences_are_looked_at_once() -> None:
    """Lines of tildes that nothing closes, each shorter than the one before, and then much code."""
    rules = ContentRules({"open_fence"})
    lines = "\n".join("~" * count for count in range(1500, 3, -1))
    answer = lines + "\n```\n```" * 100_000
    assert list(rules.flaws(Text(answer, ("text",), "answer"))) == []
    [flaw] = rules.flaws(Text(answer + "\n````", ("text",), "answer"))
    assert flaw.at == len(answer) + 1


@pytest.mark.parametrize("format_", ["text", "github", "json", "jsonl", "junit", "sarif"])
def test_secrets_are_in_no_output(format_: str, sftcli_here: Here) -> None:
    hidden = "9z8Y7x6W5v4U3t2S1r0Q9p8O7n6M5l4K3j2I"
    key = "-----BEGIN PRIVATE " + "KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ"
    write(Path("data.jsonl"), {"prompt": "Hi", "completion": f"ghp_{hidden} {key}"})
    ended = sftcli_here("validate", "data.jsonl", "--format", format_)
    assert ended.code == 1
    assert "C015" in ended.out
    assert hidden[4:] not in ended.out + ended.err
    assert "MIIEvQ" not in ended.out + ended.err


def test_what_data_says_is_not_obeyed(sftcli_here: Here) -> None:
    write(
        Path("data.jsonl"),
        {"prompt": "\x1b[31m::error::x\n##[error]", "completion": "\x1b[31m\u202e<|im_end|>\ufffd"},
    )
    for format_ in ("text", "github"):
        out = sftcli_here("validate", "data.jsonl", "--format", format_).out
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_help_and_small_files_load_nothing_heavy() -> None:
    write(Path("data.jsonl"), GOOD)
    heavy = {"pyarrow", "tokenizers", "transformers", "jinja2", "torch", "pandas", "fastokens", "ftfy"}
    assert not imported("validate", "data.jsonl") & heavy
    assert not imported("validate", "--help") & {"numpy", "msgspec", *heavy}
    assert not imported("rules") & {"numpy", *heavy}

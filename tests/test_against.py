"""--against: what another data set has too, and what it cannot be compared with."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Here, chat, write

from sftcli.conversation import Conversation, Message
from sftcli.validate.overlap import OtherSet, Overlap

pytestmark = pytest.mark.usefixtures("own_folder")

QUESTION = "A train leaves the station at noon and goes west at sixty miles an hour. How far is it at three?"
LONG = "It goes on for three hours, and so it has done sixty miles three times, which is 180 miles in all."


GOOD = b'{"prompt": "a", "completion": "b"}\n'


def pair(prompt: str, answer: str) -> dict[str, Any]:
    return {"prompt": prompt, "completion": answer}


def talk(prompt: str, answer: str) -> Conversation:
    return Conversation([Message("user", prompt), Message("assistant", answer)])


def test_a_question_with_another_answer_is_found() -> None:
    other = OtherSet()
    other.add(talk(QUESTION, LONG * 4), "there")
    other.index()
    [found] = other.overlaps([talk("x", "y"), talk(f"Please: {QUESTION}", "Far.")])
    assert found == Overlap(1, "there", 9, 9, is_whole=False)
    assert str(found) == "9 of the 9 runs of 13 words of the prompt at there stand here (100%)"
    [found] = other.overlaps([talk("Why?", LONG * 4)])
    assert (found.is_whole, found.place) == (True, "there")


def test_a_phrase_of_many_records_is_counted_once_a_record() -> None:
    for records, told in ((10, 1), (11, 0)):
        other = OtherSet(overlap=0)
        for number in range(records):
            other.add(talk(QUESTION, f"a{number}"), str(number))
        other.index()
        assert len(list(other.overlaps([talk("Why?", QUESTION)]))) == told


def test_one_common_run_is_enough_at_overlap_0(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), pair(" ".join(QUESTION.split()[:13]), "Far."))
    write(Path("test.jsonl"), pair(f"{QUESTION} {LONG * 4}", "Near."))
    asked = ("validate", "data.jsonl", "--against", "test.jsonl")
    assert sftcli_here(*asked).code == 0
    ended = sftcli_here(*asked, "--overlap", "0")
    assert (ended.code, ended.out.split(": ")[2].split()[0]) == (1, "D005")


@pytest.mark.parametrize(
    "record",
    [
        {"messages": chat(QUESTION, "")["messages"][:1]},
        {"prompt": QUESTION, "completion": ""},
        {"prompt": QUESTION, "completion": 180},
        {"task": {"question": QUESTION}},
    ],
)
def test_records_that_no_parser_takes_are_compared_too(record: dict[str, Any], sftcli_here: Here) -> None:
    write(Path("data.jsonl"), pair(QUESTION, "180"))
    write(Path("test.jsonl"), pair("What is a mile?", "Long."), record)
    ended = sftcli_here("validate", "data.jsonl", "--against", "test.jsonl", "--format", "jsonl")
    found = json.loads(ended.out)
    assert (found["code"], found["message"]) == ("D004", "the same prompt stands at test.jsonl:2")


def test_lines_that_cannot_be_read_are_told(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), pair("a", "b"))
    Path("test.jsonl").write_text('{"prompt": "Who?", "completion": "I."}\n\n{"prompt" 1}\nx\n[]\n{"n": 1}\n')
    asked = ("validate", "data.jsonl", "--against", "test.jsonl")
    note = "4 lines of test.jsonl could not be read, the first at test.jsonl:3:11"
    assert sftcli_here(*asked).out == f"All checks passed: 1 record in 1 file; {note}\n"
    assert json.loads(sftcli_here(*asked, "--json").out)["notes"] == [note]
    run = json.loads(sftcli_here(*asked, "--format", "sarif").out)["runs"][0]
    assert run["invocations"][0]["toolExecutionNotifications"] == [
        {"level": "note", "message": {"text": note}}
    ]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.jsonl", b"[]\n{\n", "--against x.jsonl: no record in it can be read; nothing could be compared"),
        ("x.jsonl", b"", "--against x.jsonl: no record in it can be read; nothing could be compared"),
        ("x.jsonl", b"a,b\n1,2\n", "--against: x.jsonl: CSV of 2 columns; export it as JSON lines"),
        (
            "data.jsonl",
            b'{"prompt": "a", "completion": "b"}\n',
            "--against data.jsonl: is one of the inputs too",
        ),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(
    name: str, data: bytes, message: str, sftcli_here: Here
) -> None:
    write(Path("data.jsonl"), pair("a", "b"))
    Path(name).write_bytes(data)
    ended = sftcli_here("validate", "data.jsonl", "--against", f"./{name}" if name == "data.jsonl" else name)
    assert (ended.code, ended.out) == (2, "")
    assert message.replace("data.jsonl: is", "./data.jsonl: is") in ended.err


def test_a_set_of_questions_is_told_how_to_be_read(sftcli_here: Here) -> None:
    write(Path("data.jsonl"), {"id": "1", "Question": "a", "answer": "b"})
    ended = sftcli_here("validate", "data.jsonl")
    hint = "(here: --field prompt=Question --field completion=answer)"
    assert hint in ended.out
    assert sftcli_here("validate", "data.jsonl", *hint[7:-1].split()).code == 0

"""Which rows stand where, from what they say alone: fingerprints, and the order that hangs on them."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CONFIGS, chat, jsonl, make, manifest
from hypothesis import given
from hypothesis import strategies as st

from sftcli.arrange.asked import ValidationAsked, validation_asked
from sftcli.arrange.order import Share, copies, in_order, is_validation, repeats
from sftcli.arrange.prints import Fingerprint
from sftcli.config import Config, load_config
from sftcli.conversation import Conversation, Message, Segment
from sftcli.job import make_job
from sftcli.parse.formats import FORMATS
from sftcli.tokenizer import load_tokenizer
from sftcli.validate.repeats import _hashes

# Fingerprints


def blake(*parts: object) -> bytes:
    return blake2b(b"".join(map(msgspec.json.encode, parts)), digest_size=16).digest()


def test_a_fingerprint_is_the_same_for_ever() -> None:
    """What it is made of is a promise: another hash would move rows from one side to the other."""
    talk = Conversation([Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Bye")])
    asked = ["messages", [["user", "Hi"]], [None, []]]
    rest = [["assistant", "Hello"], ["user", "Bye"]]
    assert Fingerprint(None)(talk) == blake(asked) + blake(asked, rest)
    assert Fingerprint(None)(talk).hex() == "a5f7f987d216c18695b1e5f90f2e997d10145d6da177c27d41baf5dbaff77813"


roles = st.sampled_from(["system", "user", "assistant", "tool"])
words = st.text("ab", max_size=2)
calls = st.one_of(st.none(), st.just([{"function": {"name": "f", "arguments": {"x": 1}}}]))
messages = st.lists(
    st.builds(
        Message, role=roles, content=words, tool_calls=calls, reasoning_content=st.sampled_from([None, "hm"])
    ),
    min_size=1,
    max_size=4,
)
talks = st.builds(Conversation, messages=messages, tools=st.one_of(st.none(), st.just([{"name": "f"}])))
layouts = st.builds(
    Conversation,
    segments=st.lists(st.builds(Segment, text=words, trained=st.booleans()), min_size=1, max_size=3),
)


@given(st.lists(st.one_of(talks, layouts), min_size=2, max_size=12))
def test_records_are_the_same_where_validate_says_so(found: list[Conversation]) -> None:
    """A fingerprint tells apart what the rules on repeats do, and nothing else."""
    prints = [Fingerprint(None)(one) for one in found]
    theirs = [_hashes(one) for one in found]
    for mine, (whole, prompt) in zip(prints, theirs, strict=True):
        for other, (their_whole, their_prompt) in zip(prints, theirs, strict=True):
            assert (mine[16:] == other[16:]) == (whole == their_whole)
            if prompt and their_prompt:
                assert (mine[:16] == other[:16]) == (prompt == their_prompt)


def test_the_prompt_of_fields_is_what_the_template_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text('prompt: "Q: {question}"\ncompletion: " {answer}"\n')
    config = Config(template=str(path), record_format="fields")
    job = make_job(config, load_tokenizer("demo"), [])
    prints = [
        Fingerprint(job.layout)(Conversation(fields={"id": number, "question": question, "answer": answer}))
        for number, question, answer in ((1, "a", "x"), (2, "a", "x"), (3, "a", "y"), (4, "b", "x"))
    ]
    assert len({one[:16] for one in prints}) == 2
    assert [prints.index(one) for one in prints] == [0, 0, 2, 3]


def test_a_record_without_a_prompt_is_its_own() -> None:
    for one in (
        Conversation([Message("assistant", "Hello")]),
        Conversation(segments=[Segment("all", True)]),
        Conversation([Message("user", "Hello")]),
    ):
        found = Fingerprint(None)(one)
        assert found[:16] == found[16:]


# Records of fields beside conversations

TEMPLATES = {
    "question": ("Q: {question}\nA:", " {answer}"),
    "instruction": ("{instruction}\n{input}\n", "{output}"),
    "system": ("{system} {prompt}", "{response}"),
}
Fields = dict[str, Any]


def prints_of(tmp_path: Path, prompt: str, completion: str, fields: Fields) -> bytes:
    """The fingerprints of a record of fields, under a template of its own."""
    path = tmp_path / "own.yaml"
    path.write_text(msgspec.json.encode({"prompt": prompt, "completion": completion}).decode())
    job = make_job(Config(template=str(path), record_format="fields"), load_tokenizer("demo"), [])
    return Fingerprint(job.layout)(Conversation(fields=fields))


@pytest.mark.parametrize(
    ("template", "fields", "messages"),
    [
        ("question", {"question": "2+2?", "answer": "4", "id": 7}, [("user", "2+2?"), ("assistant", "4")]),
        (
            "instruction",
            {"instruction": "Add.", "input": "2+2", "output": "4"},
            [("user", "Add.\n\n2+2"), ("assistant", "4")],
        ),
        (
            "instruction",
            {"instruction": "Add 2+2.", "input": None, "output": "4"},
            [("user", "Add 2+2."), ("assistant", "4")],
        ),
        (
            "system",
            {"system": "Be brief.", "prompt": "Hi", "response": "Hello"},
            [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello")],
        ),
        (
            "system",
            {"system": "", "prompt": "Hi", "response": "Hello"},
            [("user", "Hi"), ("assistant", "Hello")],
        ),
    ],
)
def test_fields_that_ask_the_same_as_messages_are_the_same(
    tmp_path: Path, template: str, fields: Fields, messages: list[tuple[str, str]]
) -> None:
    talk = {"messages": [{"role": role, "content": text} for role, text in messages]}
    theirs = Fingerprint(None)(FORMATS["messages"](talk, {}))
    assert prints_of(tmp_path, *TEMPLATES[template], fields) == theirs


asked = st.text("ab \n", max_size=4)


@given(asked, asked, asked, st.sampled_from(["x", "y"]))
def test_alpaca_records_are_the_same_as_fields_as_messages_and_as_prompts(
    system: str, instruction: str, given_: str, output: str
) -> None:
    """Whatever way the same record is read, wherever it can be read in it."""
    record = {"system": system, "instruction": instruction, "input": given_, "output": output}
    if not (instruction + given_).strip():
        return
    alpaca = FORMATS["alpaca"](record, {})
    turns = [{"role": turn.role, "content": turn.content} for turn in alpaca.messages]
    plain = Fingerprint(None)
    found = plain(alpaca)
    template = make_job(Config(template="alpaca", record_format="alpaca"), load_tokenizer("demo"), []).layout
    assert Fingerprint(template)(alpaca) == found
    assert plain(FORMATS["messages"]({"messages": turns}, {})) == found or not all(
        turn["content"].strip() for turn in turns
    )
    assert Fingerprint(template)(Conversation(fields=record)) == found


@pytest.mark.parametrize(
    ("prompt", "completion", "fields"),
    [
        ("{title}: {question}", "{answer}", {"title": "Sums", "question": "2+2?", "answer": "4"}),
        ("{question}", "{answer}", {"question": 4, "answer": "4"}),
        ("{question}", "{answer}", {"question": "", "answer": "4"}),
        ("{prompt} {question}", "{answer}", {"prompt": "", "question": "2+2?", "answer": "4"}),
    ],
)
def test_other_fields_are_compared_as_they_are(
    tmp_path: Path, prompt: str, completion: str, fields: Fields
) -> None:
    mine = prints_of(tmp_path, prompt, completion, fields)
    names = sorted(name for name in fields if name != "answer")
    alone = ["fields", [fields[name] for name in names], names]
    assert mine[:16] == blake(alone)
    assert mine[16:] == blake(alone, [fields[name] for name in sorted(fields)])


def test_a_prompt_is_on_one_side_in_whatever_source(tmp_path: Path) -> None:
    """Fields in one source and conversations in the other, each with an answer of its own."""
    fields = [{"question": f"{n} + 1?", "answer": f"{n + 1}"} for n in range(60)]
    (tmp_path / "a.jsonl").write_bytes(jsonl(*fields))
    (tmp_path / "b.jsonl").write_bytes(jsonl(*(chat(f"{n} + 1?", f"It is {n + 1}.") for n in range(60))))
    sources = [
        {"inputs": [str(tmp_path / "a.jsonl")], "template": str(CONFIGS / "templates" / "qa.yaml")},
        {"inputs": [str(tmp_path / "b.jsonl")], "template": "chatml"},
    ]
    out = tmp_path / "out"
    make(out, sources=sources, val_size="30%", columns=["source"])
    sides: dict[str, set[tuple[str, int]]] = {"train": set(), "validation": set()}
    for side in sides:
        for shard in out.glob(f"{side}-*.parquet"):
            places = pq.read_table(shard)["source"].to_pylist()
            sides[side] |= {(Path(place).name[0], int(place.rpartition(":")[2])) for place in places}
    held = {line for _, line in sides["validation"]}
    assert 0 < len(held) < 60
    assert sides["validation"] == {(name, line) for name in "ab" for line in held}
    assert len(sides["train"]) == 120 - 2 * len(held)
    make(out, sources=sources, dedup="prompt", overwrite=True)
    assert manifest(out)["counts"]["dropped"] == {"different_answers": 60}


# Order, from keys alone


def prints(values: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A fingerprint for each value, the same for the same value."""
    raw = b"".join(blake(value) for value in values)
    return np.frombuffer(raw, "<u8").reshape(-1, 2).astype(np.uint64)


values = st.lists(st.integers(0, 12), max_size=40)


@given(values)
def test_the_first_of_equal_records_is_kept(given_values: list[int]) -> None:
    found = repeats(prints(given_values)).tolist()
    assert found == [value in given_values[:at] for at, value in enumerate(given_values)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99)), max_size=60), st.data())
def test_copies_are_those_of_the_slow_way(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    weighted = data.draw(st.booleans())
    numbers_ = st.integers(1, 8).map(lambda n: Fraction(n, 2))
    shares = [
        Share(max(data.draw(numbers_), Fraction(1)), data.draw(numbers_) if weighted else None)
        for _ in range(3)
    ]
    source = np.array([one for one, _ in rows], np.int32)
    whole = prints([value for _, value in rows])
    found = copies(source, whole, shares).tolist()

    most = [int([one for one, _ in rows].count(n) * share.repeat) for n, share in enumerate(shares)]
    if weighted:
        whole_mix = min(Fraction(m) / (s.weight or 0) for m, s in zip(most, shares, strict=True))
        most = [int(whole_mix * (share.weight or 0)) for share in shares]
    expected = [0] * len(rows)
    for number, wanted in enumerate(most):
        mine = sorted((int(whole[at, 0]), at) for at, (one, _) in enumerate(rows) if one == number)
        for turn in range(wanted):
            expected[mine[turn % len(mine)][1]] += 1
    assert found == expected


def test_shares_are_exact() -> None:
    """600 rows of one, 100 of another that may stand twice: at 3 to 1 all of the first, 200 of the second."""
    source = np.repeat(np.array([0, 1], np.int32), [600, 100])
    shares = [Share(Fraction(1), Fraction(3)), Share(Fraction(2), Fraction(1))]
    found = copies(source, prints(range(700)), shares)
    assert Counter(found[:600].tolist()) == {1: 600}
    assert Counter(found[600:].tolist()) == {2: 100}
    shares[1] = Share(Fraction("1.5"), Fraction(1))  # now the second one is what there is least of
    found = copies(source, prints(range(700)), shares)
    assert Counter(found[:600].tolist()) == {1: 450, 0: 150}
    assert Counter(found[600:].tolist()) == {1: 50, 2: 50}


@given(values.filter(bool), st.integers(1, 50))
def test_so_many_rows_are_the_whole_prompts_of_the_smallest_hashes(
    given_values: list[int], rows: int
) -> None:
    keys = prints(given_values)
    found = is_validation(keys, ValidationAsked(rows=rows)).tolist()
    by_hash = sorted(set(given_values), key=lambda value: tuple(prints([value])[0].tolist()))
    chosen: set[int] = set()
    while by_hash and sum(value in chosen for value in given_values) < rows:
        chosen.add(by_hash.pop(0))
    assert found == [value in chosen for value in given_values]


@pytest.mark.parametrize("share", ["0.1%", "1%", "33.3%", "50%", "99%"])
def test_a_share_is_a_share_of_all_hashes(share: str) -> None:
    asked = validation_asked(load_config(None, {"val_size": share}))
    assert asked is not None
    assert asked.share is not None
    keys = prints(range(5_000))
    limit = int(asked.share * 2**64)
    assert is_validation(keys, asked).tolist() == [int(key) < limit for key in keys[:, 0]]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 9))
def test_an_order_is_numpys_own_permutation(times: list[int], seed: int) -> None:
    plain = [row for row, often in enumerate(times) for _ in range(often)]
    assert in_order(np.array(times, np.int64), None, None)["train"].tolist() == plain
    places = np.random.Generator(np.random.PCG64(seed)).permutation(len(plain)).tolist()
    shuffled = in_order(np.array(times, np.int64), None, seed)["train"].tolist()
    assert shuffled == [plain[place] for place in places]

"""Near duplicates: which records are alike, which of them are found, and what becomes of them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import CONFIGS, Here, chat, jsonl, make, manifest, tree
from hypothesis import given
from hypothesis import strategies as st

from sftcli.arrange import near
from sftcli.arrange.asked import near_threshold
from sftcli.arrange.near import Bands, Runs, are_alike, bands_for, near_repeats, runs_of, sketches, words_of
from sftcli.arrange.said import Said
from sftcli.config import load_config
from sftcli.conversation import Conversation, Message, Segment
from sftcli.errors import ConfigError
from sftcli.parse.formats import FORMATS
from sftcli.plan import plan_splits
from sftcli.rendered import Parts
from sftcli.rules.catalogue import OF_PREPARE, RULES
from sftcli.rules.rule import Rule

Text = Sequence[str]  # words

FOX = "the quick brown fox jumps over the lazy dog while seven cats sleep in the warm sun of May"


def pair(prompt: str, completion: str) -> dict[str, str]:
    return {"prompt": prompt, "completion": completion}


def kept(tmp_path: Path, records: Sequence[Any], **options: Any) -> list[int]:
    """The numbers of the records that are written, in order."""
    (tmp_path / "in.jsonl").write_bytes(jsonl(*records))
    out = tmp_path / "out"
    make(
        out, tmp_path / "in.jsonl", **{"template": "plain", "columns": ["source"], "dedup": "near", **options}
    )
    places = [place for shard in sorted(out.glob("*.parquet")) for place in pq.read_table(shard)["source"]]
    return [int(place.as_py().rpartition(":")[2]) - 1 for place in places]


# Words, and runs of them


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("Say hi, and go!", "say HI and go", True),
        ("a b c d e f", "a b c d e f g", False),
        ("a b c d", "a b c d e", False),
        ("hi", "hi hi", False),
        ("3 + 4", "3 * 4", False),
        ("3 + 4 = 7", "3+4=7", True),
        ("3 - 4", "3 4", False),
        ("well-known", "well known", False),
        ("\u201cHi\u201d \u2013 he said\u2026", '"Hi", he said', True),
        ("caf\u00e9 STRASSE", "cafe\u0301 stra\u00dfe", True),
        ("\u6771\u4eac\u306f\u5927\u304d\u3044", "\u6771\u4eac\u306f\u5c0f\u3055\u3044", False),
        ("\u6771\u4eac\u306f\u5927\u304d\u3044\u3002", "\u6771\u4eac \u306f\u5927\u304d\u3044", True),
        ("\U0001f600", "\U0001f622", False),
        ("?!", "...", False),
        ("", "", True),
        ("a_b", "a b", False),
    ],
)
def test_which_texts_have_the_same_words(one: str, two: str, same: bool) -> None:
    runs, ends = runs_in([[(one, False)], [(two, False)]])
    assert np.array_equal(runs[: ends[0]], runs[ends[0] :]) == same


def runs_in(said: Sequence[Parts]) -> tuple[near.Hashes, near.Ints]:
    """The runs in all that each record says."""
    texts = [words_of(parts)[0] for parts in said]
    return runs_of(texts, {word: near._hash(word) for text in texts for word in [*text, ""]})


words = st.lists(st.sampled_from("abc"), max_size=14)


@given(st.lists(words, min_size=1, max_size=6))
def test_runs_are_those_of_the_slow_way(texts: list[list[str]]) -> None:
    """As many as there are, each once, and equal where the words are."""
    found, ends = runs_in([[(" ".join(text), False)] for text in texts])
    sets = [{*part.tolist()} for part in np.split(found, ends[:-1])]
    slow = [runs_by_hand(text) for text in texts]
    assert [len(one) for one in sets] == [len(one) for one in slow]
    assert all((np.diff(part.astype(object)) > 0).all() for part in np.split(found, ends[:-1]))
    for mine, theirs in zip(sets, slow, strict=True):
        for my_other, their_other in zip(sets, slow, strict=True):
            assert len(mine & my_other) == len(theirs & their_other)


def runs_by_hand(text: Text) -> set[tuple[str, ...]]:
    return {tuple(text[at : at + 5]) for at in range(max(len(text) - 4, 1))}


def alike(one: set[Any], two: set[Any]) -> Fraction:
    return Fraction(len(one & two), len(one | two))


@given(
    st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1), st.integers(500, 1000)
)
def test_alike_is_the_share_of_what_both_have(one: set[int], two: set[int], thousandths: int) -> None:
    arrays = [np.array(sorted(part), np.uint64) for part in (one, two)]
    for least in (Fraction(thousandths, 1000), max(alike(one, two), Fraction(1, 2))):
        assert are_alike(arrays[0], arrays[1], least) == (alike(one, two) >= least)


@pytest.mark.parametrize(
    ("least", "bands"),
    [
        ("0.5", (42, 3)),
        ("0.7", (32, 4)),
        ("0.8", (21, 6)),
        ("0.9", (12, 10)),
        ("0.95", (8, 16)),
        ("1", (1, 128)),
    ],
)
def test_bands_are_the_longest_that_find_99_of_100(least: str, bands: tuple[int, int]) -> None:
    assert bands_for(Fraction(least)) == Bands(*bands)
    count, rows = bands
    assert 1 - (1 - float(least) ** rows) ** count >= 0.99
    longer = rows + 1
    assert rows == near.PERMUTATIONS or 1 - (1 - float(least) ** longer) ** (128 // longer) < 0.99


# Which are found


def changed(data: st.DataObject, text: Text) -> list[str]:
    """A text with some words of it replaced, put in, or taken out."""
    found = list(text)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(found)))
        word = data.draw(st.sampled_from(["new", "other", ""]))
        found[place : place + data.draw(st.integers(0, 1))] = [word] * bool(word)
    return found


@given(st.data(), st.sampled_from(["0.5", "0.7", "0.8", "0.9", "1"]))
def test_what_is_left_out_is_near_and_what_is_very_near_is_left_out(
    data: st.DataObject, written: str
) -> None:
    """Against all pairs, compared by hand."""
    least = Fraction(written)
    vocabulary = [f"w{number}" for number in range(40)]
    texts = st.lists(st.sampled_from(vocabulary), min_size=1, max_size=60)
    records: list[tuple[list[str], list[str]]] = [(data.draw(texts), data.draw(texts))]
    for _ in range(data.draw(st.integers(1, 12))):
        source = data.draw(st.sampled_from(records))
        asked, answered = (changed(data, part) if data.draw(st.booleans()) else part for part in source)
        records.append((data.draw(texts) if data.draw(st.integers(0, 3)) == 0 else asked, answered or ["x"]))
    found = left_out(
        [[(" ".join(asked), False), (" ".join(answer), True)] for asked, answer in records], least
    )
    sets = [(runs_by_hand([*asked, *answer]), runs_by_hand(answer)) for asked, answer in records]
    for row, is_out in enumerate(found):
        near_to = max(
            (
                min(alike(sets[row][0], sets[other][0]), alike(sets[row][1], sets[other][1]))
                for other in range(row)
                if not found[other]
            ),
            default=Fraction(0),
        )
        if is_out:
            assert near_to >= least
        else:
            assert near_to < min(least + Fraction(1, 10), Fraction(1))


def left_out(said: Sequence[Parts], least: Fraction) -> list[bool]:
    """What near_repeats finds among records that say this."""
    made = sketches(said, bands_for(least))
    keys = np.array([np.frombuffer(one.keys, np.uint64) for one in made])
    runs = [Runs(np.frombuffer(one.whole, np.uint64), np.frombuffer(one.answers, np.uint64)) for one in made]
    return near_repeats(keys.T, np.ones(len(made), np.bool_), runs.__getitem__, least).tolist()


def test_many_records_that_are_somewhat_alike_are_kept_and_their_copies_found() -> None:
    """More of them share each band than later ones are compared with."""
    common = [f"c{number}" for number in range(60)]
    own = [[f"{letter}{number}" for letter in "abcdefgh"] for number in range(300)]
    plain = [" ".join([*common, *words]) for words in own]
    assert alike(runs_by_hand(plain[0].split()), runs_by_hand(plain[1].split())) == Fraction(56, 72)
    copies = [f"{text}!" for text in plain[-40:]]
    found = left_out([[(text, True)] for text in [*plain, *copies]], Fraction("0.8"))
    assert not any(found[:300])
    assert sum(found[300:]) >= 30  # the last rows stand in few bands that are not full


def test_a_chain_is_not_followed() -> None:
    """Each is near the one before it, and the third is not near the first: it stays."""
    text = [f"w{number}" for number in range(60)]
    chain = [text, [*text[:30], "x", *text[31:]], [*text[:10], "y", *text[11:30], "x", *text[31:]]]
    runs = [runs_by_hand(one) for one in chain]
    assert [round(float(alike(one, two)), 2) for one, two in pairwise(runs)] == [0.84, 0.84]
    assert left_out([[(" ".join(one), True)] for one in chain], Fraction("0.8")) == [False, True, False]


# What a record says


def test_what_a_record_says() -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    talk = Conversation(
        [
            Message("system", "Be brief."),
            Message("user", "Hi"),
            Message("assistant", "", tool_calls=[call], reasoning_content="hm"),
            Message("tool", "1"),
            Message("assistant", "One", trained=False),
            Message("user", "Two", trained=True),
        ],
        tools=[{"name": "f"}],
    )
    called = 'hm\n\n{"function":{"arguments":{"x":1},"name":"f"}}'
    assert Said(None)(talk) == [("Hi", False), (called, True), ("1", False), ("One", False), ("Two", True)]
    layout = Conversation(segments=[Segment("a ", False), Segment("b", True)])
    assert Said(None)(layout) == [("a ", False), ("b", True)]
    record = {"instruction": "a", "input": "b", "output": "c", "system": "d"}
    assert Said(None)(FORMATS["alpaca"](record, {})) == [("a\n\nb", False), ("c", True)]


# What becomes of them


def test_the_first_of_those_that_are_nearly_the_same_is_kept(tmp_path: Path) -> None:
    records = [
        pair(f"Repeat: {FOX}.", FOX),
        pair("2+2=", "4"),
        pair(f"repeat {FOX}", f"{FOX}!"),  # but for case and punctuation the first
        pair(f"Repeat: {FOX}.", FOX),  # the first
        pair(f"Repeat: {FOX}!", "No, I do not repeat what you say to me."),  # another answer
        pair("2+2=", "5"),
        pair("2+2 =", "4"),
        pair(f"Repeat please: {FOX}.", f"Here it is: {FOX}."),
    ]
    assert kept(tmp_path, records) == [0, 1, 4, 5, 7]
    counts = manifest(tmp_path / "out")["counts"]
    assert counts["dropped"] == {"duplicate_record": 1, "near_duplicate": 2}
    assert counts["findings"]["D006"] == {
        "name": "near_duplicate",
        "severity": "warning",
        "count": 2,
        "first": f"{tmp_path}/in.jsonl:3",
    }
    assert counts["examples"] + sum(counts["dropped"].values()) == counts["lines"] == 8
    assert "rensa" in manifest(tmp_path / "out")["libraries"]


def test_questions_on_one_long_text_are_kept(tmp_path: Path) -> None:
    passage = " ".join(f"{FOX} {number}." for number in range(20))
    questions = [
        ("Who jumps?", "The fox."),
        ("How many cats sleep?", "Seven."),
        ("Who is it that jumps?", "The fox."),
    ]
    records = [pair(f"{passage} {asked}", answer) for asked, answer in questions]
    assert kept(tmp_path, records) == [0, 1]


def test_a_field_of_the_template_alone_is_compared_too(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text('prompt: "{instruction}: {more}"\ncompletion: "{output} {extra}"\n')
    options = {"template": str(tmp_path / "own.yaml"), "record_format": "alpaca"}
    long, other = "1 2 3 4 5 6 7 8 9", "9 8 7 6 5 4 3 2 1"
    records = [
        {"instruction": "Go", "output": "a", "more": more, "extra": extra}
        for more, extra in ((FOX, long), (FOX, other), (FOX, f"{long}!"), (other, long))
    ]
    assert kept(tmp_path, records, **options) == [0, 1, 3]


def test_other_answers_of_one_conversation_may_be_trained(tmp_path: Path) -> None:
    def trained(at: int) -> dict[str, Any]:
        turns = chat(FOX, "Well.", FOX, "Yes.")["messages"]
        return {"messages": [{**turn, "train": number == at} for number, turn in enumerate(turns)]}

    assert kept(tmp_path, [trained(1), trained(3), trained(1)], template="chatml") == [0, 1]


def test_near_duplicates_are_left_out_before_the_sides_are_chosen(tmp_path: Path) -> None:
    """Of each prompt of `validation` no near duplicate is trained on."""
    records = [pair(f"{FOX} {n}{mark}", f"{n}") for n in range(40) for mark in ("", "?", " ...")]
    make_options = {"val_size": "30%", "shuffle": True}
    found = kept(tmp_path, records, **make_options)
    assert sorted(found) == list(range(0, 120, 3))
    sides = manifest(tmp_path / "out")["splits"]
    assert sides["train"]["rows"] + sides["validation"]["rows"] == 40
    assert 0 < sides["validation"]["rows"] < 40


@given(st.data())
def test_the_same_is_left_out_whatever_the_splits(data: st.DataObject) -> None:
    from tempfile import TemporaryDirectory

    base = data.draw(
        st.lists(st.lists(st.sampled_from(FOX.split()), min_size=1, max_size=30), min_size=1, max_size=4)
    )
    texts = [
        changed(data, data.draw(st.sampled_from(base))) or ["x"] for _ in range(data.draw(st.integers(2, 12)))
    ]
    records = [pair(" ".join(text), data.draw(st.sampled_from(["yes", "no"]))) for text in texts]
    found = []
    for size in (1 << 20, 200):
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            for module in ("run", "sources"):
                patch.setattr(
                    f"sftcli.{module}.plan_splits", lambda inputs, _=0, size=size: plan_splits(inputs, size)
                )
            rows = kept(Path(folder), records, dedup="near:0.6")
            counts = manifest(Path(folder) / "out")["counts"]
            assert len(rows) + sum(counts["dropped"].values()) == len(records)
            found.append((rows, counts["dropped"]))
    assert found[0] == found[1]


def test_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    records = [pair(f"{FOX} {n % 7}{'!' * (n % 3)}", f"{n % 7}") for n in range(60)]
    (tmp_path / "in.jsonl").write_bytes(jsonl(*records))
    found = []
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(CONFIGS.parent)}
        command = [sys.executable, "-m", "sftcli", "prepare", "in.jsonl", "-t", "demo", "--template", "plain"]
        subprocess.run(
            [*command, "--dedup", "near", "-o", seed, "--quiet"], cwd=tmp_path, env=environment, check=True
        )
        found.append(tree(tmp_path / seed))
    assert found[0] == found[1]
    assert manifest(tmp_path / "0")["counts"]["rows"] == 7


def test_a_folder_is_checked_and_tells_another_rensa(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kept(Path(), [pair(FOX, "1"), pair(f"{FOX}!", "1"), pair("2+2=", "4")]) == [0, 2]
    for deep in ("all", "3"):
        ended = sftcli_here("verify", "out", "--deep", deep)
        assert (ended.code, ended.err) == (0, "")
    # Without rensa rows are made again, and the folder is not.
    monkeypatch.setitem(sys.modules, "rensa", None)
    assert sftcli_here("verify", "out", "--deep", "3").code == 0
    ended = sftcli_here("verify", "out", "--deep", "all")
    assert (ended.code, ended.out) == (2, "")
    assert "pip install 'sftcli[near]'" in ended.err


def test_without_rensa_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_bytes(jsonl(pair("a", "b")))
    monkeypatch.setitem(sys.modules, "rensa", None)
    command = ("prepare", "in.jsonl", "-t", "demo", "--template", "plain", "--quiet")
    ended = sftcli_here(*command, "--dedup", "near", "-o", "out")
    assert ended.code == 2
    assert ended.err.startswith("error: --dedup near needs rensa (")
    assert ended.err.endswith("): pip install 'sftcli[near]', or take --dedup exact\n")
    assert not Path("out").exists()
    assert sftcli_here(*command, "--dedup", "exact", "-o", "out").code == 0


@pytest.mark.parametrize("rule", [OF_PREPARE["D006"]], ids=lambda rule: rule.code)
def test_examples_of_what_prepare_alone_finds(tmp_path: Path, rule: Rule, sftcli_here: Here) -> None:
    (tmp_path / "in.jsonl").write_text(rule.example + "\n")
    make(tmp_path / "out", tmp_path / "in.jsonl", template="plain", dedup="near")
    counts = manifest(tmp_path / "out")["counts"]
    assert (counts["dropped"], list(counts["findings"])) == ({rule.name: 1}, [rule.code])
    assert f"{rule.code} {rule.name} (warning)" in sftcli_here("rules", rule.code.lower()).out
    assert rule.code not in RULES  # `validate` would have to find it


# What is asked


@pytest.mark.parametrize(
    ("written", "least"),
    [
        *(("none", None), ("exact", None), ("prompt", None), ("near", "0.8"), ("near:0.9", "0.9")),
        *(("near:0.5", "0.5"), ("near:1", "1"), ("near:1.0", "1"), ("near:0.8333", "0.8333")),
    ],
)
def test_what_dedup_says(written: str, least: str | None) -> None:
    config = load_config(None, {"dedup": written})
    assert near_threshold(config) == (None if least is None else Fraction(least))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("neer", "dedup: expected none, exact, prompt, near, or near:N, found 'neer'; did you mean 'near'?"),
        ("0.8", "dedup: expected none, exact, prompt, near, or near:N, found '0.8'"),
        *(
            (
                f"near:{number}",
                "dedup: near:N takes how much alike records are, from 0.5 to 1, such as near:0.9; found "
                f"'near:{number}'{hint}",
            )
            for number, hint in (
                ("0.4", ""),
                ("1.1", ""),
                ("", ""),
                ("nan", ""),
                ("90", "; did you mean near:0.9?"),
                ("85%", "; did you mean near:0.85?"),
                ("30", ""),
            )
        ),
    ],
)
def test_a_dedup_that_is_none(written: str, told: str, tmp_path: Path) -> None:
    for read in (
        lambda: load_config(None, {"dedup": written}),
        lambda: load_config(str(tmp_path / "c.yaml"), {}),
    ):
        (tmp_path / "c.yaml").write_text(f"dedup: {json.dumps(written)}\n")
        with pytest.raises(ConfigError) as refused:
            read()
        assert str(refused.value) == told

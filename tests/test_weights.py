"""Loss weights, message numbers, and the fields of records that go along with their rows.

In rows, `[x]` is a masked token, `x` one of weight 1, and `x*0.5` one of weight 0.5.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Ended, Here, chat, make, manifest, write
from hypothesis import given
from hypothesis import strategies as st

from sftcli.batch import Rows, TokenBatch
from sftcli.blocks import render_record
from sftcli.config import load_config
from sftcli.conversation import Conversation, Message, Role
from sftcli.encode import encode_runs
from sftcli.engine import ReferenceEngine
from sftcli.errors import BadRecordsError, ConfigError, RecordError
from sftcli.job import Job, make_job
from sftcli.keep import keep_types, kept_values, shared_types
from sftcli.layout.columns import COLUMNS
from sftcli.mask import MaskPolicy
from sftcli.pipeline import prepare
from sftcli.read import LineBlock
from sftcli.render import render_chat
from sftcli.rows import carried_of, to_rows
from sftcli.runs import RunBuilder
from sftcli.templates import RoleTemplate, load_template
from sftcli.tokenizer import Tokenizer, load_tokenizer

Small = Callable[[str], Tokenizer]
ROLES = get_args(Role)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def job_of(tokenizer: Tokenizer, *records: object, **options: Any) -> Job:
    lines = [json.dumps(record).encode() for record in records]
    return make_job(load_config(None, options), tokenizer, lines)


def batch_of(job: Job, *records: dict[str, Any]) -> TokenBatch:
    """The records as one block of a file, parsed, rendered and encoded."""
    block = LineBlock("data.jsonl", 0, [json.dumps(record).encode() for record in records])
    rendered = [render_record(record, job) for record in records]
    engine = ReferenceEngine(job.tokenizer)
    runs = RunBuilder(job.tokenizer, engine).build(rendered, range(len(records)))
    carried = carried_of(rendered, range(len(records)), block, job)
    return encode_runs(replace(runs, carried=carried), engine)


def rows_of(tokenizer: Tokenizer, *records: dict[str, Any], **options: Any) -> Rows:
    job = job_of(tokenizer, *records, **options)
    return to_rows(batch_of(job, *records), job)


def shown(tokenizer: Tokenizer, rows: Rows, row: int = 0) -> str:
    """One row: `[x]` is masked, `x*w` is trained with weight w."""
    assert rows.weights is not None
    assert rows.weights.dtype == np.float32
    part = slice(*rows.offsets[row : row + 2])
    marks = []
    for token, trained, weight in zip(rows.ids[part], rows.trained[part], rows.weights[part], strict=True):
        assert (weight > 0) == trained
        text = tokenizer.token_bytes(int(token)).decode().replace(" ", "␣").replace("\n", "⏎")
        marks.append(f"[{text}]" if not trained else text if weight == 1 else f"{text}*{weight:g}")
    return " ".join(marks)


def weighed(tokenizer: Tokenizer, record: dict[str, Any], **options: Any) -> str:
    return shown(tokenizer, rows_of(tokenizer, record, **options))


@pytest.fixture(scope="module")
def demo() -> Tokenizer:
    return load_tokenizer("demo")


HI = chat("Hi", "Hello")


# Weights of roles


def test_a_role_is_trained_with_its_weight_like_a_message_with_a_flag(small: Small) -> None:
    assert weighed(small("llama3_small"), HI, template="llama3", loss_weight={"user": 0.1}) == (
        "[<|begin_of_text|>] [<|start_header_id|>] [user] [<|end_header_id|>] [⏎⏎] Hi*0.1 <|eot_id|>*0.1 "
        "[<|start_header_id|>] [assistant] [<|end_header_id|>] [⏎⏎] Hello <|eot_id|>"
    )


def test_a_role_of_weight_0_is_masked(small: Small) -> None:
    weights = {"user": 0.5, "assistant": 0}
    assert weighed(small("llama3_small"), HI, template="llama3", loss_weight=weights) == (
        "[<|begin_of_text|>] [<|start_header_id|>] [user] [<|end_header_id|>] [⏎⏎] Hi*0.5 <|eot_id|>*0.5 "
        "[<|start_header_id|>] [assistant] [<|end_header_id|>] [⏎⏎] [Hello] [<|eot_id|>]"
    )


def test_training_on_all_is_weight_1_everywhere_but_where_a_role_has_its_own(small: Small) -> None:
    options = {"template": "llama3", "train_on": "all"}
    assert weighed(small("llama3_small"), HI, **options, loss_weight={"assistant": 1}) == (
        "<|begin_of_text|> <|start_header_id|> user <|end_header_id|> ⏎⏎ Hi <|eot_id|> "
        "<|start_header_id|> assistant <|end_header_id|> ⏎⏎ Hello <|eot_id|>"
    )
    assert weighed(small("llama3_small"), HI, **options, loss_weight={"user": 0, "assistant": 2}) == (
        "<|begin_of_text|> [<|start_header_id|>] [user] [<|end_header_id|>] [⏎⏎] [Hi] [<|eot_id|>] "
        "<|start_header_id|>*2 assistant*2 <|end_header_id|>*2 ⏎⏎*2 Hello*2 <|eot_id|>*2"
    )


@pytest.mark.parametrize(
    ("train_on_eos", "ends"),
    [
        ("turn", ("<|eot_id|>*0.1", "<|eot_id|>")),
        ("last", ("[<|eot_id|>]", "<|eot_id|>")),
        ("none", ("[<|eot_id|>]", "[<|eot_id|>]")),
        ("all", ("<|eot_id|>*0.1", "<|eot_id|>")),
    ],
)
def test_terminators_go_by_train_on_eos(small: Small, train_on_eos: str, ends: tuple[str, str]) -> None:
    found = weighed(
        small("llama3_small"), HI, template="llama3", loss_weight={"user": 0.1}, train_on_eos=train_on_eos
    )
    assert found == (
        f"[<|begin_of_text|>] [<|start_header_id|>] [user] [<|end_header_id|>] [⏎⏎] Hi*0.1 {ends[0]} "
        f"[<|start_header_id|>] [assistant] [<|end_header_id|>] [⏎⏎] Hello {ends[1]}"
    )


def test_a_role_of_weight_0_has_no_trained_terminator_either(small: Small) -> None:
    options = {"template": "llama3", "train_on_eos": "all", "loss_weight": {"user": 0}}
    assert "[Hi] [<|eot_id|>]" in weighed(small("llama3_small"), HI, **options)


def test_the_weight_of_the_assistant_leaves_it_to_train_on_which_of_its_turns_are_trained(
    small: Small,
) -> None:
    twice = chat("Hi", "Hello", "Hi", "Paris")
    options = {"template": "chatml", "train_on": "last", "loss_weight": {"assistant": 0.5}}
    assert weighed(small("chatml"), twice, **options) == (
        "[<|im_start|>] [user] [⏎] [Hi] [<|im_end|>] [⏎] [<|im_start|>] [assistant] [⏎] [Hello] [<|im_end|>] "
        "[⏎] [<|im_start|>] [user] [⏎] [Hi] [<|im_end|>] [⏎] [<|im_start|>] [assistant] [⏎] Paris*0.5 "
        "<|im_end|>*0.5 [⏎]"
    )


ALPACA = {"instruction": "Hi", "input": "", "output": "Hello"}


def test_the_whole_prompt_of_a_prompt_template_is_the_users(small: Small) -> None:
    """The preamble and the headings too: what instruction modelling trains."""
    tokenizer = small("llama3_small")
    found = weighed(tokenizer, ALPACA, template="alpaca", loss_weight={"user": 0.1, "assistant": 1}).split()
    assert found[0] == "[<|begin_of_text|>]"
    assert all(mark.endswith("*0.1") for mark in found[1:-2])
    assert found[1] == "Below*0.1"
    assert found[-2:] == ["Hello", "<|eot_id|>"]


def test_prompt_and_completion(small: Small) -> None:
    record = {"prompt": "2+2=", "completion": "4"}
    options = {"template": "plain", "loss_weight": {"user": 0.25, "assistant": 2}}
    assert weighed(small("pad_is_eos"), record, **options) == (
        "2*0.25 +*0.25 2*0.25 =*0.25 4*2 <|endoftext|>*2"
    )


def test_a_token_of_two_roles_has_the_weight_of_the_one_it_begins_in(demo: Tokenizer) -> None:
    record = {"prompt": "2", "completion": "4"}  # one token of the demo tokenizer
    assert weighed(demo, record, template="plain", loss_weight={"user": 0.5}) == "24*0.5 <|im_end|>"


def test_segments_are_the_assistants_where_they_are_trained_and_else_the_users(small: Small) -> None:
    record = {"segments": [{"text": "Hi", "label": False}, {"text": " Hello", "label": True}]}
    weights = {"user": 0.1, "assistant": 0.5}
    assert weighed(small("llama3_small"), record, loss_weight=weights) == (
        "[<|begin_of_text|>] Hi*0.1 ␣Hello*0.5 <|eot_id|>*0.5"
    )
    assert weighed(small("llama3_small"), {"text": "Hello"}, loss_weight={"assistant": 3}) == (
        "[<|begin_of_text|>] Hello*3 <|eot_id|>*3"
    )


def test_a_chat_template(small: Small, tmp_path: Path) -> None:
    """In Jinja too, the user's turn is its text and its terminator."""
    (tmp_path / "own.jinja").write_text(CHATML)
    options = {"template": str(tmp_path / "own.jinja"), "loss_weight": {"user": 0.1}}
    assert weighed(small("chatml"), chat("Hi", "Hello", "Rome"), **options) == (
        "[<|im_start|>] [user] [⏎] Hi*0.1 <|im_end|>*0.1 [⏎] [<|im_start|>] [assistant] [⏎] Hello <|im_end|> "
        "[⏎] [<|im_start|>] [user] [⏎] Rome*0.1 <|im_end|>*0.1 [⏎]"
    )
    options = {**options, "train_on": "all", "loss_weight": {"user": 0, "assistant": 2}}
    assert weighed(small("chatml"), chat("Hi", "Hello"), **options) == (
        "[<|im_start|>] [user] [⏎] [Hi] [<|im_end|>] [⏎] <|im_start|>*2 assistant*2 ⏎*2 Hello*2 <|im_end|>*2 "
        "⏎*2"
    )


def test_a_system_text_of_the_config_and_tools_are_told_apart(small: Small, tmp_path: Path) -> None:
    """Neither is a message of the record; the weight is that of the system text alone."""
    (tmp_path / "own.jinja").write_text("{% if tools %}{{ tools[0].function.name }}\n{% endif %}" + CHATML)
    record = {**HI, "tools": [{"type": "function", "function": {"name": "tool"}}]}
    options = {"template": str(tmp_path / "own.jinja"), "system": "good", "loss_weight": {"system": 0.5}}
    assert weighed(small("chatml"), record, **options).startswith(
        "[tool] [⏎] [<|im_start|>] [system] [⏎] good*0.5 <|im_end|>*0.5 [⏎] [<|im_start|>] [user] [⏎] [Hi]"
    )


# Weights of messages


def flagged(*turns: tuple[str, str, float | bool | None]) -> dict[str, Any]:
    messages = [{"role": role, "content": text} for role, text, _ in turns]
    for message, (_, _, weight) in zip(messages, turns, strict=True):
        if weight is not None:
            message["weight"] = weight
    return {"messages": messages}


TALK = flagged(
    ("user", "Hi", 0.5),
    ("assistant", "Hello", 0.25),
    ("user", "Rome", None),
    ("assistant", "Paris", 0),
    ("user", "Hi", True),
    ("assistant", "day", 3),
)


def test_a_messages_weight_is_multiplied_with_that_of_its_role(small: Small) -> None:
    found = weighed(small("chatml"), TALK, template="chatml", loss_weight={"user": 0.1, "assistant": 2})
    turns = [turn.split("[⏎]")[1].strip() for turn in found.split("[<|im_start|>] ")[1:]]
    assert turns == [
        "Hi*0.05 <|im_end|>*0.05",
        "Hello*0.5 <|im_end|>*0.5",
        "Rome*0.1 <|im_end|>*0.1",
        "[Paris] [<|im_end|>]",
        "Hi*0.1 <|im_end|>*0.1",
        "day*6 <|im_end|>*6",
    ]


def test_flags_hold_for_roles_that_have_no_weight(small: Small) -> None:
    found = weighed(small("chatml"), TALK, template="chatml", loss_weight={"assistant": 1})
    turns = [turn.split("[⏎]")[1].strip() for turn in found.split("[<|im_start|>] ")[1:]]
    assert turns == [
        "Hi*0.5 <|im_end|>*0.5",
        "Hello*0.25 <|im_end|>*0.25",
        "[Rome] [<|im_end|>]",
        "[Paris] [<|im_end|>]",
        "Hi <|im_end|>",
        "day*3 <|im_end|>*3",
    ]


def test_rows_with_and_without_weights_of_their_own_in_one_batch(small: Small) -> None:
    tokenizer = small("chatml")
    light = flagged(("user", "Hi", None), ("assistant", "Hello", 0.5))
    system = {"system": "good", "conversations": []}  # its text becomes the first message
    system["conversations"] = [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello", "weight": 4},
    ]
    rows = rows_of(tokenizer, HI, light, HI, template="chatml", loss_weight={"assistant": 1})
    answers = [shown(tokenizer, rows, row).rpartition("[assistant] [⏎] ")[2] for row in range(3)]
    assert answers == ["Hello <|im_end|> [⏎]", "Hello*0.5 <|im_end|>*0.5 [⏎]", "Hello <|im_end|> [⏎]"]
    found = weighed(tokenizer, system, template="chatml", loss_weight={"assistant": 1})
    assert found.endswith("[good] [<|im_end|>] [⏎] [<|im_start|>] [user] [⏎] [Hi] [<|im_end|>] [⏎] "
                          "[<|im_start|>] [assistant] [⏎] Hello*4 <|im_end|>*4 [⏎]")  # fmt: skip


def test_messages_in_a_prompt_template(small: Small, tmp_path: Path) -> None:
    """A system message before them does not move their weights, and their flags hold."""
    own = tmp_path / "own.yaml"
    own.write_text(
        "prompt: [{when: [system], text: '{system}{prompt}'}, {text: '{prompt}'}]\ncompletion: '{completion}'"
    )
    options = {"template": str(own), "loss_weight": {"assistant": 1}}
    tokenizer = small("pad_is_eos")
    turns = ("user", "2", 0.5), ("assistant", "4", 0.25)
    assert weighed(tokenizer, flagged(*turns), **options) == "2*0.5 4*0.25 <|endoftext|>*0.25"
    assert weighed(tokenizer, flagged(("system", "good", None), *turns), **options) == (
        "good*0.5 2*0.5 4*0.25 <|endoftext|>*0.25"
    )
    masked = flagged(("user", "2", 1), ("assistant", "4", 0))
    assert weighed(tokenizer, masked, **options) == "2 [4] [<|endoftext|>]"


def test_weights_of_their_own_make_no_outlines(small: Small) -> None:
    """Rows that are laid out alike share an outline, whatever their weights are."""
    records = [
        flagged(("user", "Hi", None), ("assistant", "Hello", weight / 100)) for weight in range(1, 100)
    ]
    job = job_of(small("chatml"), records[0], template="chatml", loss_weight={"assistant": 1})
    batch = batch_of(job, *records)
    assert len(set(batch.outlines)) == 1
    rows = to_rows(batch, job)
    assert rows.weights is not None
    found = rows.weights[rows.trained].reshape(99, 2)
    assert found.tolist() == [[float(np.float32(weight / 100))] * 2 for weight in range(1, 100)]


# Against the slow and obvious versions

messages = st.lists(
    st.tuples(
        st.sampled_from(("system", "user", "assistant")),
        st.sampled_from(("Hi", "Hello Paris", " day\n", "2+2=")),
        st.sampled_from((None, 0, 1, 0.5, 3.25)),
    ),
    min_size=1,
    max_size=6,
).filter(lambda turns: any(role == "assistant" for role, _, _ in turns))
role_weights = st.dictionaries(
    st.sampled_from(ROLES), st.sampled_from((0.0, 1.0, 0.1, 2.0)), min_size=1, max_size=4
)


@given(
    talks=st.lists(messages, min_size=1, max_size=4),
    weights=role_weights,
    train_on=st.sampled_from(("assistant", "last", "all")),
    train_on_eos=st.sampled_from(("turn", "last", "none", "all")),
)
def test_every_token_has_the_weight_of_its_piece(
    demo: Tokenizer,
    talks: list[list[tuple[str, str, float | None]]],
    weights: dict[str, float],
    train_on: str,
    train_on_eos: str,
) -> None:
    records = [flagged(*talk) for talk in talks]
    options = {"train_on": train_on, "train_on_eos": train_on_eos, "loss_weight": weights}
    job = job_of(demo, *records, template="chatml", **options)
    batch = batch_of(job, *records)
    rows = to_rows(batch, job)
    expected = []
    for row, talk in enumerate(talks):
        for token in range(batch.offsets[row], batch.offsets[row + 1]):
            piece = batch.outlines[row].pieces[batch.piece[token]]
            own = talk[piece.turn][2] if piece.turn >= 0 else None
            weight = weights.get(piece.role, 1.0) * (own or 1.0)
            expected.append(float(np.float32(weight)) if batch.trained[token] else 0.0)
    assert rows.weights is not None
    assert rows.weights.tolist() == expected
    assert ((rows.weights > 0) == rows.trained).all()


@given(
    talk=messages,
    weights=role_weights,
    train_on=st.sampled_from(("assistant", "last")),
    train_on_eos=st.sampled_from(("turn", "last", "none")),
)
def test_weights_train_what_flags_on_every_message_would(
    demo: Tokenizer,
    talk: list[tuple[str, str, float | None]],
    weights: dict[str, float],
    train_on: Any,
    train_on_eos: Any,
) -> None:
    template = load_template("chatml").resolve(demo.specials, demo.bos)
    assert isinstance(template, RoleTemplate)
    last = max(index for index, (role, _, _) in enumerate(talk) if role == "assistant")
    turns = []
    for index, (role, text, own) in enumerate(talk):
        if role == "assistant":
            trained = train_on == "assistant" or index == last
        else:
            trained = weights.get(role, 0) > 0
        trained = trained if own is None else own > 0
        turns.append(Message(role, text, trained and weights.get(role, 1) > 0))
    by_hand = render_chat(Conversation(turns), template, MaskPolicy("assistant", train_on_eos), None)
    job = job_of(
        demo, HI, template="chatml", train_on=train_on, train_on_eos=train_on_eos, loss_weight=weights
    )
    assert render_record(flagged(*talk), job).pieces == by_hand.pieces


# Weights that cannot be used


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"usr": 1}, "loss_weight: unknown role 'usr'; did you mean 'user'?"),
        ({"boss": 1}, "loss_weight: unknown role 'boss'; known: assistant, system, tool, user"),
        ({"user": -1}, "loss_weight: user: expected 0, or a number from 1e-9 to 1e9, found -1"),
        ({"user": float("nan")}, "loss_weight: user: expected 0, or a number from 1e-9 to 1e9, found nan"),
        ({"user": float("inf")}, "loss_weight: user: expected 0, or a number from 1e-9 to 1e9, found inf"),
        ({"user": 1e-10}, "loss_weight: user: expected 0, or a number from 1e-9 to 1e9, found 1e-10"),
        ({"user": "much"}, "options: loss_weight[...]: expected a number, found text"),
    ],
)
def test_weights_of_roles_that_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, {"loss_weight": weights})
    assert str(refused.value) == message


def test_a_role_that_the_template_does_not_lay_out(demo: Tokenizer) -> None:
    with pytest.raises(ConfigError) as refused:
        job_of(demo, ALPACA, template="alpaca", loss_weight={"user": 1, "system": 1})
    assert str(refused.value) == (
        "--loss-weight system: template 'alpaca' lays out no such turn; its prompt, a system text included, "
        "is the user's, and its answer the assistant's"
    )
    with pytest.raises(ConfigError) as refused:
        job_of(demo, {"text": "Hi"}, loss_weight={"tool": 1})
    assert str(refused.value) == (
        "--loss-weight tool: segments have no such role; what is trained in them is the assistant's, the "
        "rest the user's"
    )


@pytest.mark.parametrize(
    ("turn", "options", "message"),
    [
        (
            {"weight": 0.5},
            {},
            "messages[1].weight: expected 0, 1, true or false, found 0.5; pass --loss-weight assistant=1 to "
            "write weights into a column `loss_weights`",
        ),
        (
            {"weight": -1},
            {"loss_weight": {"assistant": 1}},
            "messages[1].weight: expected 0, or a number from 1e-9 to 1e9, found -1",
        ),
        (
            {"weight": 10**400},
            {"loss_weight": {"assistant": 1}},
            "messages[1].weight: expected 0, or a number from 1e-9 to 1e9, found " + "1" + "0" * 55 + "...0",
        ),
        (
            {"loss": 0.5},
            {"loss_weight": {"assistant": 1}},
            "messages[1].loss: expected 0, 1, true or false, found 0.5 "
            "(weights in between stand in `weight`)",
        ),
        (
            {"weight": 0.5, "train": False},
            {"loss_weight": {"assistant": 1}},
            "messages[1]: flags contradict each other: train is false, weight is true",
        ),
    ],
)
def test_weights_of_messages_that_are_refused(
    tmp_path: Path, turn: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    record = chat("Hi", "Hello")
    record["messages"][1] |= turn
    data = write(tmp_path / "in.jsonl", record)
    with pytest.raises(BadRecordsError) as refused:
        make(tmp_path / "out", data, template="chatml", **options)
    assert refused.value.rejects[0].message == message


# What is written


def table(out: Path) -> dict[str, list[Any]]:
    return pq.read_table(next(out.glob("*.parquet"))).to_pydict()


def test_the_columns_that_are_written(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", {**HI, "id": "a"}, {**chat("2+2=", "4"), "id": "b"})
    columns = ["source", "turn_ids"]
    options = {"template": "chatml", "loss_weight": {"user": 0.5}, "columns": columns, "keep": ["id"]}
    make(tmp_path / "out", data, **options)
    found = table(tmp_path / "out")
    assert found["id"] == ["a", "b"]
    assert found["source"] == [f"{data}:1", f"{data}:2"]
    # <|im_start|> user \n H i <|im_end|> \n <|im_start|> assistant \n Hello <|im_end|> \n
    assert found["turn_ids"][0] == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert found["loss_weights"][0] == [0, 0, 0, 0.5, 0.5, 0.5, 0, 0, 0, 0, 1, 1, 0]
    assert [label != -100 for label in found["labels"][0]] == [
        weight > 0 for weight in found["loss_weights"][0]
    ]
    assert manifest(tmp_path / "out")["config"]["loss_weight"] == {"user": 0.5}


def test_what_goes_along_is_read_back_by_datasets_from_either_format(tmp_path: Path) -> None:
    import datasets

    records = [
        {**HI, "n": 1, "x": 0.5, "ok": True, "id": "é"},
        {**HI, "n": -2, "x": 3, "ok": False, "id": ""},
    ]
    data = write(tmp_path / "in.jsonl", *records)
    options = {"template": "chatml", "keep": ["n", "x", "ok", "id"], "loss_weight": {"user": 0.1}}
    make(tmp_path / "parquet", data, **options)
    make(tmp_path / "arrow", data, **options, format="arrow")
    by_parquet = datasets.load_dataset(
        str(tmp_path / "parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    by_arrow = datasets.load_from_disk(str(tmp_path / "arrow"))
    assert by_parquet.features == by_arrow.features
    types = {name: feature.dtype for name, feature in by_arrow.features.items() if name in options["keep"]}
    assert types == {"n": "int64", "x": "float64", "ok": "bool", "id": "string"}
    assert by_arrow.features["loss_weights"].feature.dtype == "float32"
    assert by_parquet.to_dict() == by_arrow.to_dict()
    kept = by_arrow.select_columns(options["keep"]).to_list()
    assert kept == [
        {"n": 1, "x": 0.5, "ok": True, "id": "é"},
        {"n": -2, "x": 3.0, "ok": False, "id": ""},
    ]


def test_the_source_counts_the_lines_of_the_file_in_every_split(tmp_path: Path) -> None:
    """Blank lines and records that are left out are lines too."""
    good = json.dumps(HI)
    (tmp_path / "in.jsonl").write_text("\n".join([good, "", "{}", good, good]))
    make(tmp_path / "out", tmp_path / "in.jsonl", template="chatml", columns=["source"], on_error="skip")
    assert table(tmp_path / "out")["source"] == [f"{tmp_path}/in.jsonl:{line}" for line in (1, 4, 5)]


def test_whole_numbers_may_turn_out_to_be_others_among_the_first_records() -> None:
    assert keep_types(["n"], [{"n": 1}, {"n": 2}]) == {"n": "int64"}
    assert keep_types(["n"], [{"n": 1}, {}, {"n": 2.5}]) == {"n": "double"}
    assert keep_types(["n", "m"], [{"m": "a"}, {"n": True, "m": 1}]) == {"n": "bool", "m": "string"}
    assert kept_values({"n": 1, "m": ""}, {"m": "string", "n": "double"}) == ("", 1.0)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"idx": 1}, "--keep id: the first records have no such field; did you mean 'idx'?"),
        ({"text": "a"}, "--keep id: the first records have no such field; known: text"),
        (
            {"id": [1]},
            "--keep id: is a list in the first record that has it; only text, numbers, and true or false can "
            "be kept",
        ),
        (
            {"id": None},
            "--keep id: is null in the first record that has it; only text, numbers, and true or false can "
            "be kept",
        ),
    ],
)
def test_fields_that_cannot_be_kept(first: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        keep_types(["id"], [first])
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("type_", "record", "code", "message"),
    [
        ("string", {"x": 1}, "missing_field", "field 'id' (--keep) is missing; the fields there are 'x'"),
        (
            "string",
            {"id": 7},
            "wrong_type",
            "id: expected text (--keep), as in the first records, found a number 7",
        ),
        (
            "string",
            {"id": None},
            "wrong_type",
            "id: expected text (--keep), as in the first records, found null",
        ),
        (
            "int64",
            {"id": 0.5},
            "wrong_type",
            "id: expected a whole number (--keep), as in the first records, found a number 0.5",
        ),
        (
            "int64",
            {"id": True},
            "wrong_type",
            "id: expected a whole number (--keep), as in the first records, found true or false",
        ),
        (
            "int64",
            {"id": 2**63},
            "wrong_type",
            "id: a whole number of more than 64 bits cannot be kept (--keep)",
        ),
        (
            "double",
            {"id": 2**53 + 1},
            "wrong_type",
            "id: expected a number (--keep), as in the first records, found a number 9007199254740993",
        ),
        (
            "bool",
            {"id": 1},
            "wrong_type",
            "id: expected true or false (--keep), as in the first records, found a number 1",
        ),
    ],
)
def test_records_whose_field_cannot_be_kept(
    type_: str, record: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(RecordError) as refused:
        kept_values(record, {"id": type_})
    assert (refused.value.code, refused.value.message) == (code, message)


def test_a_record_without_the_field_is_told_with_its_place(tmp_path: Path) -> None:
    lines = [json.dumps({**HI, "id": 1}), json.dumps(HI), json.dumps({**HI, "id": "a"})]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, lines[0].replace('"id": 1', '"id": 1, "id": 2')]))
    with pytest.raises(BadRecordsError) as refused:
        make(tmp_path / "out", tmp_path / "in.jsonl", template="chatml", keep=["id"])
    column = len(json.dumps(HI)) + len(', "id": ')
    assert [(bad.code, bad.line, bad.column) for bad in refused.value.rejects] == [
        ("missing_field", 2, 1),
        ("wrong_type", 3, column),
        ("duplicate_key", 4, len(json.dumps({**HI, "id": 1})) + 2),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"keep": ["labels"]},
            "keep: labels: the rows have a column of that name already; rename the field in the data",
        ),
        (
            {"keep": ["id", "source"], "columns": ["source"]},
            "keep: source: the rows have a column of that name already; rename the field in the data",
        ),
        ({"keep": ["id", "x", "id"]}, "keep: id: given twice"),
    ],
)
def test_names_of_columns_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(None, options)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("user=much",), "--loss-weight user=much: expected a number, such as --loss-weight user=0.1"),
        (("user",), "--loss-weight 'user': expected two parts, such as --loss-weight user=0.1"),
        (("user=1", "user=2"), "--loss-weight user: given twice"),
        (("usr=1",), "loss_weight: unknown role 'usr'; did you mean 'user'?"),
    ],
)
def test_flags_that_are_refused(sftcli_here: Here, flags: tuple[str, ...], message: str) -> None:
    given = [part for flag in flags for part in ("--loss-weight", flag)]
    assert sftcli_here("prepare", "in.jsonl", "-t", "demo", "-o", "out", *given) == Ended(
        2, "", f"error: {message}\n"
    )


# Together with other options


def test_rules_that_are_selected_take_weights_too(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", flagged(("user", "Hi", None), ("assistant", "Hello", 0.5)))
    options = {"template": "chatml", "select": ["R", "C"]}
    report = make(tmp_path / "out", data, **options, loss_weight={"assistant": 1})
    assert report.counts.rows == 1
    with pytest.raises(BadRecordsError):
        make(tmp_path / "other", data, **options)


def test_validate_takes_weights_where_prepare_would(sftcli_here: Here, tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", flagged(("user", "Hi", None), ("assistant", "Hello", 0.5)))
    assert sftcli_here("validate", str(data)).code == 1
    assert sftcli_here("validate", str(data), "--loss-weight", "assistant=1").code == 0


def test_inspect_shows_the_weights(sftcli_here: Here, tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", HI)
    command = ("inspect", str(data), "-t", "demo", "--template", "chatml", "--loss-weight", "user=0.1")
    shown = sftcli_here(*command, "--view", "table").out.splitlines()
    first = next(index for index, line in enumerate(shown) if line.startswith(" i "))
    assert [line.rstrip() for line in shown[first : first + 7]] == [
        " i    id  label  weight  origin    turn  role          piece",
        " 0  4094   -100       0  template     0  user        │ ⟦<|im_start|>⟧",
        " 1   700   -100       0  template     0  user        │ user",
        " 2   198   -100       0  template     0  user        │ ↵",
        " 3    39     39     0.1  content      0  user       T┃ H",
        " 4    72     72     0.1  content      0  user       T┃ i",
        " 5  4095   4095     0.1  template     0  user       T┃ ⟦<|im_end|>⟧",
    ]
    row = json.loads(sftcli_here(*command, "--format", "json").out)
    assert [token["weight"] for token in row["tokens"]] == [0, 0, 0, 0.1, 0.1, 0.1, 0, 0, 0, 0, 1, 1, 0]
    row = json.loads(sftcli_here(*command[:-2], "--format", "json").out)
    assert all("weight" not in token for token in row["tokens"])


def test_what_is_cut_or_packed_keeps_its_weights_and_turns(tmp_path: Path) -> None:
    """Older turns are left out, and the rest keeps its own numbers and weights; packing moves them along."""
    turns = [("user", "Hi", None), ("assistant", "Hello", 0.5), ("user", "2+2=", 3), ("assistant", "4", 0.25)]
    data = write(tmp_path / "in.jsonl", {**flagged(*turns), "id": "a"}, {**flagged(*turns[2:]), "id": "b"})
    options = {"template": "chatml", "loss_weight": {"user": 0.1}, "columns": ["turn_ids"], "keep": ["id"]}
    make(tmp_path / "whole", data, **options)
    make(tmp_path / "cut", data, **options, max_length=16, truncation="turns")
    whole, cut = table(tmp_path / "whole"), table(tmp_path / "cut")
    assert cut["loss_weights"][0] == cut["loss_weights"][1] == whole["loss_weights"][1]
    assert cut["loss_weights"][0] == whole["loss_weights"][0][-len(cut["loss_weights"][0]) :]
    assert [min(row) for row in cut["turn_ids"]] == [2, 0]
    make(tmp_path / "packed", data, **options, max_length=64, packing="bfd")
    packed = table(tmp_path / "packed")
    assert packed["loss_weights"] == [whole["loss_weights"][0] + whole["loss_weights"][1]]
    assert packed["turn_ids"] == [whole["turn_ids"][0] + whole["turn_ids"][1]]
    assert packed["id"] == [["a", "b"]]


def test_no_field_is_kept_under_a_name_that_trainers_know() -> None:
    """Of the columns that sftcli writes, a record's field may have two names where they are not asked for."""
    kept = []
    for name in COLUMNS:
        try:
            load_config(None, {"keep": [name]})
            kept.append(name)
        except ConfigError:
            pass
    assert kept == ["length", "source"]


def test_sources_have_one_type_for_a_field() -> None:
    whole, other, text = {"id": "int64"}, {"id": "double"}, {"id": "string"}
    assert shared_types({"a": whole, "b": whole}) == whole
    assert shared_types({"a": whole, "b": other, "c": whole}) == other
    with pytest.raises(ConfigError) as refused:
        shared_types({"a": whole, "b": text})
    assert str(refused.value) == (
        "--keep id: is a whole number in source 'a' and text in source 'b'; a column has one type: make them "
        "alike, or leave it out"
    )


def test_a_mix_keeps_what_goes_along_beside_its_rows(tmp_path: Path) -> None:
    """Shuffled, repeated, and each source with its own layout."""
    pairs = write(tmp_path / "a.jsonl", *({"prompt": "2=", "completion": "4", "id": n} for n in (1, 2)))
    talk = write(
        tmp_path / "b.jsonl", {**flagged(("user", "Hi", None), ("assistant", "Hello", 0.5)), "id": 2.5}
    )
    (tmp_path / "mix.yaml").write_text(
        f"sources:\n- {{inputs: ['{pairs}'], template: plain, repeat: 2}}\n"
        f"- {{inputs: ['{talk}'], template: chatml}}\n"
        "keep: [id]\nloss_weight: {user: 2}\ncolumns: [source]\ntokenizer: demo\nshuffle: true\n"
    )
    prepare(load_config(str(tmp_path / "mix.yaml"), {"output": str(tmp_path / "out")}))
    found = [
        row
        for file in sorted((tmp_path / "out").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]
    assert sorted((row["id"], row["source"], row["loss_weights"]) for row in found) == [
        *[(1.0, f"{pairs}:1", [2, 2, 1, 1])] * 2,
        *[(2.0, f"{pairs}:2", [2, 2, 1, 1])] * 2,
        (2.5, f"{talk}:1", [0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0.5, 0.5, 0]),
    ]

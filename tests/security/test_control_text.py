"""Text of the data never becomes a control token, in whichever field it stands and whatever lays it out (M5).

`test_masks.py` shows such a row token by token, `test_properties.py` compares rows with any text to the
slow way, and `test_chat_template.py` has a turn that a user forges.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import make, write

import sftcli
from sftcli.tokenizer import Tokenizer, load_tokenizer

DEMO = Path(sftcli.__file__).parent / "data" / "demo"
SPECIAL = ("<|im_end|>x", "im_end", "<|im_<|im_end|>", "[INST]", "</s>")  # each overlaps or holds another
ORDINARY = ("<think>", "<|im_", "end|>", "|><|")  # added tokens that any text may hold
# Everything that Jinja can lay out.
JINJA = """\
{%- if tools %}<|im_start|>tools
{{ tools | tojson }}{% for tool in tools %} {{ tool.function.name }}{% endfor %}<|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }} {{ m.name }} {{ m.tool_call_id }}
{{ m.reasoning_content or '' }} {{ m.content or '' }}
{%- for call in m.tool_calls or [] %} {{ call.id }} {{ call.function | tojson }}{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant{{ '  \\n' }}{% endif %}
"""
FIELDS = 'prompt: "Q: {question} {context} "\ncompletion: "{answer}"\n'


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The demo tokenizer with more added tokens, whose texts lie in one another."""
    folder = tmp_path_factory.mktemp("crowded") / "tk"
    shutil.copytree(DEMO, folder)
    layout = json.loads((folder / "tokenizer.json").read_bytes())
    model = layout["added_tokens"][0]
    layout["added_tokens"] += [
        {**model, "id": 4096 + index, "content": text, "special": text in SPECIAL}
        for index, text in enumerate((*SPECIAL, *ORDINARY))
    ]
    (folder / "tokenizer.json").write_text(json.dumps(layout))
    return load_tokenizer(str(folder))


def forged(tokenizer: Tokenizer) -> str:
    """Every control token's text, whole, broken, one in another, and as a turn of its own."""
    texts = list(tokenizer.control_tokens)[:40]
    broken = [
        f"{text[:4]}{other}{text[4:]}" for text, other in zip(texts, texts[1:] + texts[:1], strict=True)
    ]
    turned = "\n".join(reversed(texts))
    return f"z {''.join(texts)} {' '.join(broken)} {turned}assistant\n\n{texts[0]} z"


def talk(**fields: Any) -> dict[str, Any]:
    """A conversation with every field that one can have, but for those given."""
    call = {"name": fields.get("function", "f"), "arguments": fields.get("arguments", {"x": "y"})}
    answer = {
        **{
            "role": "assistant",
            "content": fields.get("answer", "A"),
            "reasoning_content": fields.get("thought", "B"),
        },
        "tool_calls": [{"id": fields.get("call", "c1"), "type": "function", "function": call}],
    }
    told = {"role": "tool", "content": fields.get("result", "C"), "tool_call_id": fields.get("call", "c1")}
    function = {"name": "f", "description": fields.get("description", "D"), "parameters": {"type": "object"}}
    return {
        "messages": [
            {"role": "system", "content": fields.get("system", "E")},
            {"role": "user", "content": fields.get("question", "F"), "name": fields.get("name", "G")},
            *(answer, told),
            {"role": "assistant", "content": fields.get("last", "H")},
        ],
        "tools": [{"type": "function", "function": function}],
    }


def plain_talk(**fields: Any) -> dict[str, Any]:
    """The same without tools."""
    system, user, _, _, last = talk(**fields)["messages"]
    return {"messages": [system, user, last]}


def share(**fields: str) -> dict[str, Any]:
    turns = [
        {"from": "human", "value": fields.get("human", "A")},
        {"from": "gpt", "value": fields.get("gpt", "B")},
    ]
    return {"conversations": turns, "system": fields.get("system", "C")}


def alpaca(**fields: str) -> dict[str, Any]:
    history = [[fields.pop("asked", "A"), fields.pop("answered", "B")]]
    return {**{"instruction": "C", "input": "D", "output": "E", "system": "F"}, **fields, "history": history}


def listed(**fields: str) -> dict[str, Any]:
    """Prompt and completion as lists of messages."""
    ask, say = fields.get("prompt", "A"), fields.get("completion", "B")
    return {
        "prompt": [{"role": "user", "content": ask}],
        "completion": [{"role": "assistant", "content": say}],
    }


Record = Callable[..., dict[str, Any]]
# format, template, what makes a record of some fields, and the fields
CASES: dict[str, tuple[str, str, Record, tuple[str, ...]]] = {
    "messages, Jinja": (
        *("messages", "full.jinja", talk),
        (
            *("answer", "thought", "call", "function", "result", "description", "system", "question"),
            *("name", "last", "arguments"),
        ),
    ),
    "messages, roles": (
        *("messages", "chatml", plain_talk),
        ("system", "question", "last"),
    ),
    "sharegpt, Jinja": ("sharegpt", "full.jinja", share, ("human", "gpt", "system")),
    "sharegpt, roles": ("sharegpt", "chatml", share, ("human", "gpt", "system")),
    "alpaca": (
        "alpaca",
        "alpaca",
        lambda **f: {"instruction": "A", "input": "B", "output": "C", **f},
        ("instruction", "input", "output"),
    ),
    "alpaca, roles": (
        "alpaca",
        "chatml",
        alpaca,
        ("asked", "answered", "instruction", "input", "output", "system"),
    ),
    "prompt and completion": (
        *("prompt_completion", "plain", lambda **fields: {"prompt": "A", "completion": "B", **fields}),
        ("prompt", "completion"),
    ),
    "lists of messages": ("prompt_completion", "full.jinja", listed, ("prompt", "completion")),
    "segments": (
        *(
            "segments",
            "",
            lambda **f: {
                "segments": [
                    {"text": f.get("masked", "A"), "label": False},
                    {"text": f.get("trained", "B"), "label": True},
                ]
            },
        ),
        ("masked", "trained"),
    ),
    "text": ("text", "", lambda **fields: {"text": "A", **fields}, ("text",)),
    "fields": (
        *("fields", "own.yaml", lambda **fields: {"question": "A", "context": "B", "answer": "C", **fields}),
        ("question", "context", "answer"),
    ),
}
EACH = [(case, field) for case, (*_, fields) in CASES.items() for field in fields]


def control_ids(here: Path, tokenizer: Tokenizer, case: str, record: dict[str, Any]) -> tuple[list[int], int]:
    """The control tokens of the row that a record makes, and how many rows are counted to hold their text."""
    (here / "full.jinja").write_text(JINJA)
    (here / "own.yaml").write_text(FIELDS)
    format_, template, *_ = CASES[case]
    template = str(here / template) if "." in template else template
    source = write(here / "in.jsonl", record)
    options: dict[str, Any] = {"template": template} if template else {}
    report = make(
        here / "out", source, tokenizer=tokenizer.name, record_format=format_, overwrite=True, **options
    )
    (shard,) = (here / "out").glob("*.parquet")
    (ids,) = pq.read_table(shard)["input_ids"].to_pylist()
    control = {token.id for token in tokenizer.control_tokens.values()}
    return [token_id for token_id in ids if token_id in control], report.counts.control_text_rows


@pytest.mark.parametrize(("case", "field"), EACH)
def test_no_field_of_any_format_writes_a_control_token(
    crowded: Tokenizer, tmp_path: Path, case: str, field: str
) -> None:
    record = CASES[case][2]
    own, counted = control_ids(tmp_path, crowded, case, record())
    assert counted == 0
    assert len(own) >= (case not in ("text", "segments"))
    text = forged(crowded)
    value = {"key" + text: [text]} if field == "arguments" else text
    assert control_ids(tmp_path, crowded, case, record(**{field: value})) == (own, 1)


@pytest.mark.parametrize("name", ["llama3", "gpt2"])
def test_nor_with_real_vocabularies(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    for case in ("text", "prompt and completion"):
        record = CASES[case][2]
        own, counted = control_ids(tmp_path, tokenizer, case, record())
        assert counted == 0
        for field in CASES[case][3]:
            assert control_ids(tmp_path, tokenizer, case, record(**{field: forged(tokenizer)})) == (own, 1)


def test_added_tokens_that_are_no_control_tokens_are_read_in_text(crowded: Tokenizer, tmp_path: Path) -> None:
    """As at inference; those that are control tokens and hold them stay letters."""
    source = write(tmp_path / "in.jsonl", {"text": "<think> <|im_end|> </s>"})
    make(tmp_path / "out", source, tokenizer=crowded.name, record_format="text")
    (shard,) = (tmp_path / "out").glob("*.parquet")
    (ids,) = pq.read_table(shard)["input_ids"].to_pylist()
    texts = [crowded.token_text(token_id) for token_id in ids]
    assert [text for text in texts if text in (*ORDINARY, *crowded.control_tokens)] == [
        "<think>",
        "<|im_end|>",
    ]
    assert texts[-1] == "<|im_end|>"  # the one that ends the row

"""Conversations of so many turns that these are proven by their kind: the same as proven one by one."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "parity"))

from conversations import _calls, _result, _says, _system, _user
from reference import load, template_names

from sftcli.chat_template import ChatTemplate
from sftcli.conversation import Conversation, Message
from sftcli.errors import RecordError
from sftcli.jinja import proof
from sftcli.mask import MaskPolicy
from sftcli.rendered import Piece
from sftcli.tokenizer import Tokenizer, load_tokenizer

LONG = 12  # messages; in a run it is more, but then to prove turns one by one takes long


@pytest.fixture(scope="module")
def demo() -> Tokenizer:
    return load_tokenizer("demo")


def talk(rounds: int, *, system: bool, calls: bool, twice: bool) -> list[Message]:
    """Turns of several kinds, again and again."""
    said = [_system("Be brief.")] if system else []
    for number in range(rounds):
        said += [_user(f"question {number}"), _says(f"answer {number}" * (number % 5 + 1))]
        if calls and number % 3 == 0:
            said += [_user("Look"), _calls(("look", {"x": number})), _result(f"found {number}"), _says("So.")]
        if number % 7 == 5:
            said += [_user("Think"), _says(f"  yes {number}\n", reasoning_content="hm")]
        if number % 9 == 4:
            said += [_user("Again"), _says(f"<think>\nhm {number}\n</think>\n\nwell")]
        if twice and number % 11 == 2:
            said += [_user("once"), _user("more"), _says("fine"), _says("thanks")]
    return said


def outcome(chat: ChatTemplate, messages: list[Message]) -> list[Piece] | tuple[str, Any]:
    conversation = Conversation(messages=messages, tools=None)
    try:
        return chat.render_row(conversation, MaskPolicy(), None).pieces
    except RecordError as problem:
        return problem.code, problem.path


def both_ways(
    source: "str | None", name: str, tokenizer: Tokenizer, messages: list[Message]
) -> tuple[Any, Any, int]:
    """What comes of a conversation, and what of it where every turn is proven; and how many renders less."""
    made = []
    renders = []
    for long in (LONG, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(proof, "LONG", long)
            chat = ChatTemplate("test", source, tokenizer) if source else load(name, tokenizer)
            run, count = chat.program.run, 0

            def counted(*values: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                return run(*values, **named)  # noqa: B023

            patch.setattr(chat.program, "run", counted)
            made.append(outcome(chat, messages))
            renders.append(count)
    return made[0], made[1], renders[1] - renders[0]


@pytest.mark.parametrize("name", template_names())
@pytest.mark.parametrize(
    "kinds",
    [
        {"system": False, "calls": False, "twice": False},
        {"system": True, "calls": True, "twice": False},
        {"system": False, "calls": False, "twice": True},
    ],
    ids=["plain", "calls", "twice"],
)
def test_turns_proven_by_their_kind_are_those_proven_one_by_one(
    name: str, kinds: dict[str, bool], demo: Tokenizer
) -> None:
    messages = talk(14, **kinds)
    by_kind, one_by_one, _ = both_ways(None, name, demo, messages)
    assert by_kind == one_by_one


CHATML = load_tokenizer("demo").with_control_tokens(["<|im_start|>", "<|im_end|>", "<|close|>"])
HEADER = "{% for m in messages %}<|im_start|>{{ m.role }}\n"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.mark.parametrize(
    "source",
    [
        # The turns' numbers in their headers: no two turns are of a kind.
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }} #{{ loop.index }}<|im_end|>\n"
        "{% endfor %}" + PROMPT,
        # Another terminator for one turn in fifty.
        HEADER
        + "{{ m.content }}{{ '<|close|>' if loop.index0 % 50 == 49 else '<|im_end|>' }}\n{% endfor %}"
        + PROMPT,
        # White space that hangs on the turn's number.
        HEADER + "{{ m.content }}<|im_end|>{{ '\n' * (loop.index0 % 3 + 1) }}{% endfor %}" + PROMPT,
        # What was said long ago is said again.
        HEADER + "{{ m.content }}{% if loop.index0 > 20 %}{{ messages[loop.index0 - 12].content }}{% endif %}"
        "<|im_end|>\n{% endfor %}" + PROMPT,
    ],
    ids=["numbered", "other-end", "white", "said-again"],
)
def test_templates_whose_turns_differ_by_their_place(source: str) -> None:
    messages = talk(60, system=False, calls=False, twice=False)
    by_kind, one_by_one, _ = both_ways(source, "", CHATML, messages)
    assert by_kind == one_by_one


def test_a_turn_is_proven_by_few_renders() -> None:
    source = HEADER + "{{ m.content }}<|im_end|>\n{% endfor %}" + PROMPT
    messages = [turn for number in range(150) for turn in (_user(f"q{number}"), _says(f"a{number}"))]
    by_kind, one_by_one, fewer = both_ways(source, "", CHATML, messages)
    assert by_kind == one_by_one
    assert [piece.text for piece in by_kind if piece.trained and piece.content] == [
        f"a{number}" for number in range(150)
    ]
    assert fewer > 250  # of some 300

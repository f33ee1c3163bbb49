"""The parity matrix as a test: nothing wrong, nothing unnamed, and the totals known."""

import re

import pytest
import reference
from conversations import CONVERSATIONS, conversations
from matrix import run

from sftcli.tokenizer import load_tokenizer

pytestmark = pytest.mark.skipif(
    reference.template_folder() is None, reason="trl, whose chat templates these are, is not installed"
)

# How generation marks differ from the mask that M2 asks for. Any other difference fails.
NAMED = {
    "equal": r"equal",
    "the header is marked, though the generation prompt supplies it (DeepSeek, GPT-OSS, Muse)": (
        r"marks the header that the generation prompt supplies"
    ),
    "white space before the answer is marked, though the prompt supplies it (Qwen2.5)": (
        r"marks white space that the generation prompt supplies"
    ),
    "the start of thinking is marked, though the prompt supplies it (Qwen3.5, Nemotron)": (
        r"marks thinking that the generation prompt supplies"
    ),
    "the token that closes the tools' output is marked (DeepSeek)": (
        r"marks '<｜tool▁outputs▁end｜>', which closes the message before"
    ),
    "white space after the terminator is marked": r"marks white space after the terminator",
    "the token that ends a turn of tool calls is not marked (DiffusionGemma)": (
        r"does not mark the terminator '<\|tool_response>'"
    ),
    "a header that no generation prompt supplies is not marked (DiffusionGemma, after a tool)": (
        r"masks '<\|turn>model\\n' that the model writes"
    ),
}
# Templates that write nothing after an answer, so that a model could not learn to stop.
NO_TERMINATOR = {"glm4moe"}
# What may be left unproven, and why.
UNPROVEN = (
    r"template_drops_text: .*the template leaves out (tool call \d|this (system|tool) message)",
    r"cannot be proven: (nothing ends it|it runs into the next turn)",
    r"cannot be proven: the generation prompt .* does not stand once before it",
    r"cannot be proven: the text of message \d+ stands inside this turn",
    r"cannot be proven: part of its text stands outside of the turn",
)


def test_there_are_enough_of_both() -> None:
    assert len(CONVERSATIONS) >= 40
    assert len(reference.template_names()) >= 20


@pytest.mark.parametrize("name", reference.template_names())
def test_template(name: str) -> None:
    row = run(name, load_tokenizer("demo"))
    assert row.wrong == {}
    total = len(conversations())
    assert row.exact + len(row.refused) + len(row.unproven) == total
    for label, reason in row.unproven.items():
        assert any(re.search(pattern, reason) for pattern in UNPROVEN), f"{label}: {reason}"
    for difference in row.differences:
        assert any(re.fullmatch(pattern, difference) for pattern in NAMED.values()), f"no name: {difference}"
    if name in NO_TERMINATOR:
        assert row.exact == 0
        return
    assert row.exact >= total // 2, f"{name}: {row.refused} {row.unproven}"
    assert row.marks in (0, row.exact)
    assert bool(row.marks) == bool(re.search(r"\{%-?\s*generation", reference.source_of(name)))

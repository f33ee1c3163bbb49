"""A model that learnt sftcli's rows answers a prompt made by transformers, and stops."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

from overfit import answers, overfit  # noqa: E402

LLAMA3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
LAYOUTS = {
    "the tokenizer's own": {},
    "llama3": {
        "template": "llama3",
        "add_special_tokens": LLAMA3,
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_answers_and_stops(tmp_path: Path, layout: str) -> None:
    found = list(answers(*overfit(tmp_path, **LAYOUTS[layout])))
    assert [answer.written for answer in found] == [answer.expected for answer in found]
    assert all(answer.stopped for answer in found)
    assert len(found) == 22


def test_without_a_trained_terminator_it_goes_on(tmp_path: Path) -> None:
    """So that the test above can fail: it answers, and then writes on."""
    found = list(answers(*overfit(tmp_path, train_on_eos="none")))
    assert all(answer.written.startswith(answer.expected) for answer in found)
    assert not any(answer.stopped for answer in found)

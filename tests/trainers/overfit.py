"""Does a model that was trained on sftcli's rows answer, and stop? `python overfit.py` shows it.

A Llama with two small layers learns twenty short conversations by heart, prepared by sftcli. Then what
comes before each answer goes through `apply_chat_template(add_generation_prompt=True)` of the tokenizer
that was written with the rows, and what the model generates is set beside the answer.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from tiny import llama
from transformers import AutoTokenizer, DataCollatorForSeq2Seq

from sftcli.config import load_config
from sftcli.pipeline import prepare

LOOK_BEYOND = 24  # tokens that a model may write after an answer that it does not end
LEARNT = 0.01  # the mean loss at which every answer is known: each token has a likelihood of some 99%

CAPITALS = {
    "Australia": "Canberra, and not Sydney.",
    "Bolivia": "Sucre; the government sits in La Paz.",
    "Brazil": "Brasília, since 1960.",
    "Canada": "Ottawa.",
    "Chile": "Santiago.",
    "China": "北京 (Beijing)",
    "Egypt": "Cairo.",
    "France": "Paris.",
    "Greece": "Athens.",
    "Iceland": "Reykjavík.",
    "India": "New Delhi.",
    "Italy": "Rome 🇮🇹",
    "Japan": "Tokyo.\nBefore 1868 it was Kyoto.",
    "Kenya": "Nairobi.",
}
TALKS = [
    *([("user", f"What is the capital of {land}?"), ("assistant", city)] for land, city in CAPITALS.items()),
    [("user", "Count to three."), ("assistant", "1, 2, 3"), ("user", "And on."), ("assistant", "4, 5, 6")],
    [("user", "Hi"), ("assistant", "Hello!"), ("user", "2+2="), ("assistant", "4")],
    [("system", "Answer in German."), ("user", "Good morning"), ("assistant", "Guten Morgen")],
    [("system", "Answer in French."), ("user", "Good morning"), ("assistant", "Bonjour")],
    [("user", "Say nothing but OK."), ("assistant", "OK")],
    [("user", "Write a loop."), ("assistant", "```python\nfor i in range(3):\n    print(i)\n```")],
]


@dataclass(frozen=True)
class Answer:
    """What a model wrote where `expected` should stand; `stopped` if it ended its turn by itself."""

    prompt: str
    expected: str
    written: str
    stopped: bool


def overfit(folder: Path, **options: Any) -> tuple[Any, Any]:
    """A model that knows the rows that sftcli makes of the talks, and the tokenizer written with them."""
    lines = (json.dumps({"messages": [{"role": r, "content": c} for r, c in talk]}) for talk in TALKS)
    (folder / "talks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    values = {"inputs": [str(folder / "talks.jsonl")], "output": str(folder / "out"), "tokenizer": "demo"}
    prepare(load_config(None, values | options))
    rows = pq.read_table(folder / "out" / "train-00000-of-00001.parquet").to_pylist()
    assert len(rows) == len(TALKS) == 20
    tokenizer = AutoTokenizer.from_pretrained(str(folder / "out" / "tokenizer"))
    model = llama(vocab=len(tokenizer), width=64, initializer_range=0.05, tie_word_embeddings=True).float()
    batch = DataCollatorForSeq2Seq(tokenizer)(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0)
    loss = torch.tensor(torch.inf)
    while loss > LEARNT:
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), tokenizer


def answers(model: Any, tokenizer: Any) -> Iterator[Answer]:
    """What the model writes for each answer of the talks, the likeliest token each time."""
    for talk in TALKS:
        messages = [{"role": role, "content": content} for role, content in talk]
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                yield _answer(model, tokenizer, messages[:place], message["content"])


def _answer(model: Any, tokenizer: Any, before: list[dict[str, str]], expected: str) -> Answer:
    prompt = tokenizer.apply_chat_template(before, add_generation_prompt=True, return_tensors="pt")
    room = len(tokenizer(expected)["input_ids"]) + LOOK_BEYOND
    given = model.generate(
        **prompt,
        max_new_tokens=room,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    ids = given[0, prompt["input_ids"].shape[1] :].tolist()
    stopped = ids[-1] == tokenizer.eos_token_id
    text = tokenizer.decode(prompt["input_ids"][0])
    return Answer(text, expected, tokenizer.decode(ids[:-1] if stopped else ids), stopped)


def main(*arguments: str) -> None:
    for train_on_eos in arguments or ("turn", "none"):
        with tempfile.TemporaryDirectory() as folder:
            found = list(answers(*overfit(Path(folder), train_on_eos=train_on_eos)))
        print(f"--train-on-eos {train_on_eos}\n")
        for answer in found:
            end = "stopped" if answer.stopped else f"did not stop in {LOOK_BEYOND} tokens more"
            print(f"  {answer.prompt!r}\n    {answer.written!r}: {end}")
        exact = sum(answer.written == answer.expected for answer in found)
        stopped = sum(answer.stopped for answer in found)
        print(f"\n{exact} of {len(found)} answers are exact, and {stopped} stopped\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

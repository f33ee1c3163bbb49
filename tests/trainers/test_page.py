"""The Python that docs/trainers.md shows runs as it stands there."""

import re
from pathlib import Path

import pytest
from conftest import CONFIGS, EXAMPLES, make

pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

from tiny import llama

PAGE = (CONFIGS.parent / "docs" / "trainers.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OPTIONS = [{}, {"profile": "trl", "packing": "bfd", "max_length": 512}]
CASES = list(zip(SNIPPETS, OPTIONS, strict=True))


# The page says nothing of devices, and torch warns where there is none but the CPU.
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator is found")
@pytest.mark.parametrize(("snippet", "options"), CASES, ids=["Trainer", "SFTTrainer"])
def test_a_snippet_trains(
    snippet: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    template = str(CONFIGS / "templates" / "qa.yaml")
    make("out", EXAMPLES / "gsm8k.jsonl", template=template, limit=40, **options)
    names = {"model": llama()}
    exec(snippet, names)  # noqa: S102 (our own page)
    assert names["trainer"].state.global_step == 2
    assert names["trainer"].state.log_history[-1]["train_loss"] > 0

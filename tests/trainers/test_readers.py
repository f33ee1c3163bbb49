"""Trainers that pin other versions than ours: what their own code reads of a folder.

`make test-readers` installs LLaMA-Factory, axolotl and OLMo-core, each into an environment of its own,
without what needs a GPU; where one is not there, its test is skipped. Megatron-Bridge needs a GPU's
libraries, and SkyRL fails to import under Python 3.11: their tests rest on what they document, and say so.
"""

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, make

torch = pytest.importorskip("torch", reason="needs torch; `make test-trainers` installs it")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from datasets import load_from_disk  # noqa: E402
from tiny import llama, losses, mean_loss, nearly, rows_of  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

HERE = Path(__file__).parent
READERS = Path(os.environ.get("SFTCLI_READERS") or HERE.parents[1] / ".readers")
QA = {"template": str(CONFIGS / "templates" / "qa.yaml")}
END = 4095  # <|im_end|>, the eos of the tokenizer `demo`


def prepared(out: Path, profile: str, **options: Any) -> Path:
    make(out, EXAMPLES / "gsm8k.jsonl", profile=profile, **QA, **options)
    return out


def reads(reader: str, *arguments: Path | int | str) -> Any:
    """What the reader's script prints, run in the reader's own environment."""
    python = READERS / reader.replace("_", "-") / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs {reader}; `make test-readers` installs it")
    environment = {
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "PATH": os.environ["PATH"],
        "HOME": str(arguments[1]),
    }
    done = subprocess.run(
        [str(python), str(HERE / "readers" / f"{reader}.py"), *map(str, arguments)],
        capture_output=True,
        env=environment,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_llama_factory_trains_on_the_folder(tmp_path: Path) -> None:
    out = prepared(tmp_path / "out", "llama-factory")
    prepared(tmp_path / "plain", "axolotl")
    rows = rows_of(tmp_path / "plain")
    model = llama().float()
    model.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(str(out / "tokenizer")).save_pretrained(tmp_path / "model")
    steps = reads("llama_factory", out, tmp_path / "model", tmp_path / "trainer")
    for step, first in zip(steps, (0, 4), strict=True):
        for place, row in enumerate(rows[first : first + 4]):
            size = len(row["input_ids"])
            assert step["input_ids"][place][:size] == row["input_ids"]
            assert step["labels"][place][:size] == row["labels"]
            assert set(step["labels"][place][size:]) <= {-100}
    assert steps[0]["loss"] == pytest.approx(mean_loss(model, rows[:4]), rel=1e-5)  # a model in float32


def test_axolotl_reads_the_folder_and_drops_what_is_too_long(tmp_path: Path) -> None:
    out = prepared(tmp_path / "out", "axolotl")
    rows = rows_of(out)
    for length in (2048, 200):
        given = reads("axolotl", out, tmp_path / str(length), length)["train"]
        fitting = [row for row in rows if len(row["input_ids"]) <= length]
        assert len(fitting) == (200 if length == 2048 else len(given)) > 100
        key = json.dumps
        assert sorted(key({name: row[name] for name in rows[0]}) for row in given) == sorted(
            map(key, fitting)
        )


def test_axolotl_takes_the_validation_split(tmp_path: Path) -> None:
    out = prepared(tmp_path / "out", "axolotl", val_size=20)
    given = reads("axolotl", out, tmp_path / "scratch", 2048)
    for side, count in (("train", 180), ("validation", 20)):
        (rows,) = (pq.read_table(path).to_pylist() for path in out.glob(f"{side}-*.parquet"))
        assert len(rows) == count
        own = [json.dumps({name: row[name] for name in rows[0]}) for row in given[side]]
        assert sorted(own) == sorted(map(json.dumps, rows))


def test_llama_factory_evaluates_the_validation_split(tmp_path: Path) -> None:
    out = prepared(tmp_path / "out", "llama-factory", val_size=20)
    held = load_from_disk(str(out))["validation"].to_list()
    assert len(held) == 20
    model = llama().float()
    model.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(str(out / "tokenizer")).save_pretrained(tmp_path / "model")
    found = reads("llama_factory", out, tmp_path / "model", tmp_path / "trainer", "eval")
    assert found["eval_loss"] == pytest.approx(mean_loss(model, held), rel=1e-5)


def test_olmo_core_packs_whole_rows_with_their_masks(tmp_path: Path) -> None:
    out = prepared(tmp_path / "out", "olmo")
    prepared(tmp_path / "plain", "axolotl")
    expected = {
        tuple(row["input_ids"]): [label != -100 for label in row["labels"]]
        for row in rows_of(tmp_path / "plain")
    }
    instances = reads("olmo_core", out, tmp_path / "work", END, 0, 512)
    found = {}
    for instance in instances:
        ids, mask = instance["input_ids"], instance["label_mask"]
        assert len(ids) == len(mask) == 512
        first = 0
        while first < len(ids) and any(ids[first:]):  # up to the padding
            last = ids.index(END, first) + 1
            found[tuple(ids[first:last])] = mask[first:last]
            first = last
        assert not any(mask[first:])
    assert found == expected


def test_megatron_by_its_documented_contract(tmp_path: Path) -> None:
    """Nothing of Megatron-Bridge runs here: its collate_fn is followed by hand, segment by segment.

    In a segment the inputs are all ids but the last, the labels all but the first, and `loss_mask` goes
    with the inputs.
    """
    out = prepared(tmp_path / "out", "megatron", packing="bfd", max_length=512, limit=12)
    plain = prepared(tmp_path / "plain", "axolotl", limit=12)
    model = llama()
    found = []
    for row in rows_of(out):
        bounds = [*row["seq_start_id"], len(row["input_ids"])]
        for first, last in pairwise(bounds):
            tokens, labels = row["input_ids"][first : last - 1], row["input_ids"][first + 1 : last]
            with torch.no_grad():
                likelihoods = model(torch.tensor([tokens])).logits[0].double().log_softmax(-1)
            mask = row["loss_mask"][first : last - 1]
            found += [-float(likelihoods[i, labels[i]]) for i, learnt in enumerate(mask) if learnt]
    expected = [each for row in rows_of(plain) for each in losses(model, row["input_ids"], row["labels"])]
    assert sorted(found) == pytest.approx(sorted(expected), rel=2e-6)


def test_skyrl_by_its_documented_contract(tmp_path: Path) -> None:
    """Nothing of SkyRL runs here: it reads `input_ids` and a `loss_mask` of 0 and 1 for the same places."""
    out, plain = prepared(tmp_path / "out", "skyrl"), prepared(tmp_path / "plain", "axolotl")
    table = pq.read_table(out / "train-00000-of-00001.parquet")
    assert table.column_names == ["input_ids", "loss_mask"]
    assert all(pa.types.is_list(field.type) for field in table.schema)
    for row, causal in zip(table.to_pylist(), rows_of(plain), strict=True):
        assert row["input_ids"] == causal["input_ids"]
        assert row["loss_mask"] == [int(label != -100) for label in causal["labels"]]


def test_the_losses_of_this_file_are_not_those_of_a_mask_that_lies_elsewhere(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    row = rows_of(prepared(tmp_path / "out", "axolotl", limit=1))[0]
    model, moved = llama(), [*row["labels"][1:], -100]
    learnt = [token if label != -100 else -100 for token, label in zip(row["input_ids"], moved, strict=True)]
    right = mean_loss(model, [row])
    assert mean_loss(model, [{"input_ids": row["input_ids"], "labels": learnt}]) != nearly(right)

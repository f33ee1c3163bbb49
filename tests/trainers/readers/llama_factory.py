"""Trains two steps with LLaMA-Factory's own `run_exp`: `llama_factory.py DATASET MODEL OUT [eval]`.

Prints, as JSON, the batches that reach the model and their losses. With `eval` it does not train, and prints
what it finds of the validation split.
"""

import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

# Its wheels want the torch that is built for CUDA; LLaMA-Factory uses it for sound alone.
torchaudio = types.ModuleType("torchaudio")
torchaudio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = torchaudio

from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer  # noqa: E402
from llamafactory.train.tuner import run_exp  # noqa: E402

seen: list[dict[str, Any]] = []
training_step = CustomSeq2SeqTrainer.training_step


def watched(self: Any, model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
    batch = {name: values.tolist() for name, values in inputs.items()}
    loss = training_step(self, model, inputs, *rest, **more)
    seen.append({**batch, "loss": float(loss.detach())})
    return loss


CustomSeq2SeqTrainer.training_step = watched
dataset, model, out, *more = sys.argv[1:]
evaluate = more == ["eval"]
run_exp(
    {
        "model_name_or_path": model,
        "dataset": "none",  # must be named, and is not looked at
        "tokenized_path": dataset,
        "output_dir": out,
        "stage": "sft",
        "do_train": not evaluate,
        "do_eval": evaluate,
        **({"eval_dataset": "none"} if evaluate else {}),  # must be named too
        "finetuning_type": "full",
        "template": "default",
        "cutoff_len": 64,  # shorter than any row: it must not cut what is tokenized
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 64,  # all of them
        "max_steps": 2,
        "disable_shuffling": True,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
    }
)
print("\n" + (Path(out, "eval_results.json").read_text().replace("\n", "") if evaluate else json.dumps(seen)))

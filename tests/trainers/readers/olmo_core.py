"""Opens a folder with OLMo-core's own dataset for fine-tuning: `olmo_core.py DATASET SCRATCH EOS PAD LENGTH`.

Prints, as JSON, the instances: several records each, the rest padding.
"""

import json
import sys
from pathlib import Path

sys.path.pop(0)  # this file has the package's name

import numpy as np
from olmo_core.data import NumpyPackedFSLDataset

folder, scratch, eos, pad, length = sys.argv[1:]
dataset = NumpyPackedFSLDataset(
    *sorted(map(str, Path(folder).glob("token_ids_part_*.npy"))),
    label_mask_paths=sorted(map(str, Path(folder).glob("labels_mask_part_*.npy"))),
    sequence_length=int(length),
    eos_token_id=int(eos),
    pad_token_id=int(pad),
    vocab_size=4096,
    dtype=np.uint16,
    use_array_if_local=False,
)
dataset.work_dir = Path(scratch)
dataset.prepare()
instances = [dataset[place] for place in range(len(dataset))]
print(
    "\n"
    + json.dumps(
        [{name: instance[name].tolist() for name in ("input_ids", "label_mask")} for instance in instances]
    )
)

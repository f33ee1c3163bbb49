"""Rows -> three files: bare arrays of ids and of what is learnt, and where each row begins and ends."""

import gzip
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sftcli.batch import Rows
from sftcli.layout import Layout

IDS, MASK = "token_ids", "labels_mask"


def files_of(ids: Path) -> tuple[Path, Path, Path]:
    """The files of a shard, named by that of its ids: ids, what is learnt (a byte each), bounds of rows.

    These are the names that OLMo-core looks for: token_ids_*.npy, labels_mask_*.npy, and a .csv.gz named
    as the ids are.
    """
    return ids, ids.with_name(ids.name.replace(IDS, MASK)), ids.with_suffix(".csv.gz")


@contextmanager
def open_npy(path: Path, layout: Layout, _compression: str) -> Iterator[Callable[[Rows], None]]:
    """Write one shard as OLMo-core reads it: arrays without a header, and a line `start,end` for each row."""
    ids_path, mask_path, bounds_path = files_of(path)
    done = 0
    with (
        ids_path.open("wb") as ids,
        mask_path.open("wb") as mask,
        bounds_path.open("wb") as raw,
        # The time and the name would make other bytes of the same rows.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as bounds,
    ):

        def write(rows: Rows) -> None:
            nonlocal done
            for batch in layout.batches(rows):
                for name, file in (("input_ids", ids), ("loss_mask", mask)):
                    file.write(batch[name].values.buffers()[1])
                ends = (batch["input_ids"].offsets.to_numpy().astype(np.int64) + done).tolist()
                lines = (f"{start},{end}\n" for start, end in itertools.pairwise(ends))
                bounds.write("".join(lines).encode())
                done = ends[-1]

        yield write

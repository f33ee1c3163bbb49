"""The output folder: what may be written where, and the files beside the shards."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sftcli.commit import STAGING
from sftcli.errors import OutputError, Reject
from sftcli.job import Job
from sftcli.manifest import MANIFEST, pretty_json
from sftcli.plan import STDIN


def shard_name(index: int, total: int, format_: str) -> str:
    """The names that datasets looks for: by split for Parquet, save_to_disk's own for Arrow."""
    if format_ == "parquet":
        return f"train-{index:05d}-of-{total:05d}.parquet"
    return f"data-{index:05d}-of-{total:05d}.arrow"


def check_inputs(out: Path, inputs: Sequence[str]) -> None:
    """Refuse an output folder that holds an input: what a run writes must not be read by the next."""
    for file in inputs:
        if file != STDIN and out.resolve() in Path(file).resolve().parents:
            raise OutputError(f"{out}: the input {file} lies in this folder; write the output elsewhere")


def check_output(out: Path, overwrite: bool) -> None:
    """Refuse a folder that is not empty, unless it is a dataset of ours that may be replaced."""
    names = {entry.name for entry in out.iterdir()} - {STAGING}
    if not names:
        return
    if MANIFEST not in names:
        raise OutputError(
            f"{out}: is not empty and holds no dataset made by sftcli; name another folder with -o"
        )
    if not overwrite:
        raise OutputError(
            f"{out}: already holds a dataset; pass --overwrite to replace it, or name another folder"
        )


def write_side_files(folder: Path, tokenizer_files: Mapping[str, bytes], card: str) -> None:
    """The tokenizer and the dataset card."""
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "tokenizer").mkdir()
    for name, raw in tokenizer_files.items():
        (folder / "tokenizer" / name).write_bytes(raw)


def write_arrow_state(folder: Path, shards: Sequence[str], digest: str) -> None:
    """What datasets.load_from_disk wants beside the Arrow streams; `digest` is that of their bytes."""
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in shards],
        "_fingerprint": digest[:16],  # by which what is computed from the rows is cached
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }
    (folder / "state.json").write_bytes(pretty_json(state))
    info = {"citation": "", "description": "", "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_bytes(pretty_json(info))


def append_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Add bad records to rejects.jsonl, each with its place, its reason and its raw line.

    `code` is the name of the rule that it breaks, and `rule` that rule's own code.
    """
    from sftcli.rules.catalogue import BY_NAME

    with path.open("ab") as file:
        for reject in rejects:
            entry = {
                "file": reject.file,
                "line": reject.line,
                "column": reject.column,
                "byte": reject.byte,
                "code": reject.code,
                "rule": BY_NAME[reject.code].code,
                "message": reject.message,
                "raw": reject.raw.decode("utf-8", "backslashreplace"),
            }
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")


def digest_of(shards: Mapping[str, Mapping[str, Any]]) -> str:
    """One sha256 of the shards, of each file's name and facts."""
    return hashlib.sha256(
        repr([(name, facts["sha256"]) for name, facts in shards.items()]).encode()
    ).hexdigest()


def dataset_card(rows: int, job: Job, digest: str) -> str:
    """The README.md of the output; `load_dataset(OUT)` finds its files through `configs`.

    That caches what it has read by the folder's own name and what stands in `configs`, so that without
    the shards' `digest` it would give the rows of another folder of that name, or of this one before.
    """
    lines = []
    format_ = job.config.format
    if format_ == "parquet":
        lines += ["---", "configs:", "- config_name: default", "  data_files:", "  - split: train"]
        lines += ["    path: train-*.parquet", f"  description: rows {digest}", "---", ""]
    load = "datasets.load_dataset(FOLDER)" if format_ == "parquet" else "datasets.load_from_disk(FOLDER)"
    lines += [
        "# Masked training rows",
        "",
        f"{rows:,} rows made by sftcli with the template `{job.template}` and the tokenizer "
        f"`{job.tokenizer.name}`.",
        "`input_ids`, `attention_mask` and `labels` are equally long. A label is the token's id where the",
        "token is trained and -100 elsewhere; labels are aligned with the ids, not shifted. The tokenizer is",
        f"in `tokenizer/`; `manifest.json` lists every file with its hash. Read with `{load}`.",
        "",
    ]
    return "\n".join(lines)

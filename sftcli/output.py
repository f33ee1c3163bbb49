"""The output folder: what may be written where, how it is staged, and how it is committed.

Everything is written below OUT/.staging first. A commit moves it into place and writes the
manifest last: a folder without a manifest is not a dataset.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sftcli.errors import EnvironmentFault, OutputError, Reject
from sftcli.job import Job
from sftcli.manifest import MANIFEST, file_facts, read_manifest

_STAGING = ".staging"


def shard_name(index: int, total: int, format_: str) -> str:
    """The names that datasets looks for: by split for Parquet, save_to_disk's own for Arrow."""
    if format_ == "parquet":
        return f"train-{index:05d}-of-{total:05d}.parquet"
    return f"data-{index:05d}-of-{total:05d}.arrow"


def check_output(out: Path, overwrite: bool, inputs: Sequence[str]) -> None:
    """Refuse a folder that is not empty, unless it is a dataset of ours that may be replaced."""
    for file in inputs:
        if out.resolve() in Path(file).resolve().parents:
            raise OutputError(f"{out}: the input {file} lies in this folder; write the output elsewhere")
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out}: is a file; -o names a folder")
    names = {entry.name for entry in out.iterdir()} - {_STAGING}
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


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A fresh folder to write into. Afterwards it is gone, and so is `out` where nothing is in it."""
    folder = out / _STAGING
    existed = out.exists()
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as problem:
        raise EnvironmentFault(f"{out}: cannot be written: {problem.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not existed and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def staged_files(staging: Path) -> dict[str, dict[str, Any]]:
    """Every file below the staging folder by its path in it, with its bytes and sha256, sorted."""
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    return {path.relative_to(staging).as_posix(): file_facts(path) for path in paths}


def commit(staging: Path, out: Path, manifest: Mapping[str, Any]) -> None:
    """Replace what the old manifest lists by what is staged. The manifest goes first, comes last."""
    try:
        for path in _walk(staging):
            _sync(path)
        _remove_old(out)
        for entry in sorted(staging.iterdir()):
            _move(entry, out / entry.name)
        _sync(out)
        staged_manifest = staging / MANIFEST
        staged_manifest.write_bytes(pretty_json(manifest))
        _sync(staged_manifest)
        os.replace(staged_manifest, out / MANIFEST)
        _sync(out)
    except OSError as problem:
        raise EnvironmentFault(f"{out}: cannot be written: {problem}") from None


def _move(source: Path, target: Path) -> None:
    if target.is_dir() and source.is_dir():  # a folder that holds files which are not ours
        for entry in source.iterdir():
            os.replace(entry, target / entry.name)
        _sync(target)
    else:
        os.replace(source, target)


def _remove_old(out: Path) -> None:
    """Remove the files that the old manifest lists, and nothing else."""
    if not (out / MANIFEST).exists():
        return
    listed = read_manifest(out)["files"]
    (out / MANIFEST).unlink()
    _sync(out)
    for name in listed:
        target = out / name
        if out.resolve() not in target.resolve().parents:
            continue  # a manifest that was tampered with must not reach outside
        target.unlink(missing_ok=True)
        if target.parent != out and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()


def write_side_files(folder: Path, tokenizer_files: Mapping[str, bytes], card: str) -> None:
    """The tokenizer and the dataset card."""
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "tokenizer").mkdir()
    for name, raw in tokenizer_files.items():
        (folder / "tokenizer" / name).write_bytes(raw)


def write_arrow_state(folder: Path, shards: Sequence[str]) -> None:
    """What datasets.load_from_disk wants beside the Arrow streams."""
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in shards],
        "_fingerprint": hashlib.sha256("\n".join(shards).encode()).hexdigest()[:16],
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
    """Add bad records to rejects.jsonl, each with its place, its reason and its raw line."""
    with path.open("ab") as file:
        for reject in rejects:
            entry = {
                "file": reject.file,
                "line": reject.line,
                "column": reject.column,
                "byte": reject.byte,
                "code": reject.code,
                "message": reject.message,
                "raw": reject.raw.decode("utf-8", "backslashreplace"),
            }
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")


def dataset_card(rows: int, job: Job) -> str:
    """The README.md of the output; `load_dataset(OUT)` finds its files through `configs`."""
    lines = []
    format_ = job.config.format
    if format_ == "parquet":
        lines += ["---", "configs:", "- config_name: default", "  data_files:", "  - split: train"]
        lines += ["    path: train-*.parquet", "---", ""]
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


def pretty_json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"


def _walk(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder, topdown=False):
        yield from (Path(root) / name for name in sorted(names))
        yield Path(root)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

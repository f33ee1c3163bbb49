"""The output folder: what may be written where, and the files beside the shards."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftcli.advice import advice
from sftcli.arrange.asked import TRAIN, sides
from sftcli.config import Config
from sftcli.errors import OutputError, Reject
from sftcli.layout import written_layout
from sftcli.layout.said import columns_said
from sftcli.manifest import MANIFEST, STAGING, pretty_json, read_manifest, safe_json
from sftcli.plan import STDIN
from sftcli.view.cells import one_line

if TYPE_CHECKING:
    from sftcli.sources import Sources

_READ = {
    "parquet": "Read with `datasets.load_dataset(FOLDER)`.",
    "arrow": "Read with `datasets.load_from_disk(FOLDER)`.",
    "npy": "Read the ids and what is learnt (a byte for each id) with `numpy.fromfile`; each line of a "
    "`.csv.gz` is where a row begins and ends.",
}


def shard_name(side: str, index: int, total: int, config: Config) -> str:
    """The names that are looked for: by split for Parquet, save_to_disk's own for Arrow, OLMo-core's for npy.

    `side` is train or validation. All but Parquet have a folder for each of them, where there are two.
    """
    if config.format == "parquet":
        return f"{side}-{index:05d}-of-{total:05d}.parquet"
    names = {"arrow": f"data-{index:05d}-of-{total:05d}.arrow", "npy": f"token_ids_part_{index:04d}.npy"}
    name = names[config.format]
    return f"{side}/{name}" if len(sides(config)) > 1 else name


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
    read_manifest(out)  # which says what may be removed


def write_side_files(
    folder: Path, sources: "Sources", rows: int, shards: Mapping[str, Mapping[str, Any]]
) -> None:
    """The tokenizer, the dataset card, and what Arrow shards need; `shards` are these and their facts."""
    digest = digest_of(shards)
    (folder / "README.md").write_text(dataset_card(rows, sources, digest), encoding="utf-8")
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name, raw in sources.tokenizer_files().items():
        (folder / "tokenizer" / name).write_bytes(raw)
    if sources.config.format != "arrow":
        return
    both = sides(sources.config)
    if len(both) == 1:
        write_arrow_state(folder, TRAIN, list(shards), digest)
        return
    for side in both:
        mine = [name for name in shards if name.startswith(f"{side}/")]
        write_arrow_state(folder / side, side, [Path(name).name for name in mine], digest)
    (folder / "dataset_dict.json").write_bytes(pretty_json({"splits": list(both)}))


def write_arrow_state(folder: Path, side: str, shards: Sequence[str], digest: str) -> None:
    """What datasets.load_from_disk wants beside the Arrow streams; `digest` is that of their bytes."""
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in shards],
        "_fingerprint": digest[:16],  # by which what is computed from the rows is cached
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": side,
    }
    (folder / "state.json").write_bytes(pretty_json(state))
    info = {"citation": "", "description": "", "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_bytes(pretty_json(info))


def reject_lines(rejects: Sequence[Reject]) -> bytes:
    """Bad records as lines of rejects.jsonl, each with its place, its reason and its raw line.

    `code` and `name` are those of the rule that it breaks, as `validate` writes them.
    """
    from sftcli.rules.catalogue import BY_NAME

    lines = []
    for reject in rejects:
        entry = {
            "file": reject.file,
            "line": reject.line,
            "column": reject.column,
            "byte": reject.byte,
            "code": BY_NAME[reject.code].code,
            "name": reject.code,
            "message": reject.message,
            "raw": reject.raw.decode("utf-8", "backslashreplace"),
        }
        lines.append(safe_json(entry) + b"\n")
    return b"".join(lines)


def digest_of(shards: Mapping[str, Mapping[str, Any]]) -> str:
    """One sha256 of the shards, of each file's name and facts."""
    return hashlib.sha256(
        repr([(name, facts["sha256"]) for name, facts in shards.items()]).encode()
    ).hexdigest()


def dataset_card(rows: int, sources: "Sources", digest: str) -> str:
    """The README.md of the output; `load_dataset(OUT)` finds its files through `configs`.

    That caches what it has read by the folder's own name and what stands in `configs`, so that without
    the shards' `digest` it would give the rows of another folder of that name, or of this one before.
    """
    lines = []
    format_ = sources.config.format
    told = advice(sources.config, sources.tokenizer)
    if format_ == "parquet":
        lines += ["---", "configs:", "- config_name: default", "  data_files:"]
        for side in sides(sources.config):
            lines += [f"  - split: {side}", f"    path: {side}-*.parquet"]
        lines += [f"  description: rows {digest}", "---", ""]
    lines += [
        "# Masked training rows",
        "",
        f"{rows:,} rows made by sftcli with the template {_code(sources.template)} and the tokenizer "
        f"{_code(sources.tokenizer.name)}:",
        "",
        *columns_said(written_layout(sources.run.job)),
        "",
        f"The tokenizer is in `tokenizer/`; `manifest.json` lists every file with its hash. {_READ[format_]}",
        *(["", "To have the rows trained as they are meant:", ""] if told else []),
        *(f"- {text}" for text in told),
        "",
    ]
    return "\n".join(lines)


def _code(name: str) -> str:
    """A name as code in Markdown, which nothing in it can end."""
    shown = one_line(name).replace("`", "'")
    return f"`{shown}`"

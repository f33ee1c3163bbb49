"""The options that say what is written of each row, and in what files."""

from typing import Any

import click

from sftcli.cli.choice import Choice, NumberOrAuto
from sftcli.errors import UsageError

SHAPE = (
    click.option(
        "--packing",
        type=Choice(["none", "bfd", "wrapped"]),
        help="Put records together into rows of --max-length tokens: whole ones where they fit best (bfd), "
        "or joined and cut (wrapped). [default: none]",
    ),
    click.option(
        "--layout",
        type=Choice(["causal", "shifted", "seq2seq", "steps"]),
        help="Labels in the places of their tokens (causal), one place before (shifted), the last answer "
        "apart from what stands before it (seq2seq), or a row for each trained token (steps). "
        "[default: causal]",
    ),
    click.option(
        "--pad", metavar="HOW", help="Fill rows up: max-length or multiple-of:N. [default: none, and ragged]"
    ),
    click.option("--pad-to-multiple-of", type=int, metavar="N", help="The same as --pad multiple-of:N."),
    click.option(
        "--padding-side", type=Choice(["right", "left"]), help="Where padding goes. [default: right]"
    ),
    click.option(
        "--labels-dtype",
        type=Choice(["int32", "int64"]),
        help="The type of labels; cross entropy in PyTorch wants int64. [default: int32]",
    ),
    click.option(
        "--columns",
        multiple=True,
        metavar="NAMES",
        help="Write these too: length, source, turn_ids, loss_mask (with commas between, or repeatable).",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="FIELD",
        help="Carry this field of each record along, in a column of its name (repeatable).",
    ),
)
SHARDS = (
    click.option(
        "--profile",
        type=Choice(["trl", "axolotl", "llama-factory", "megatron", "skyrl", "olmo"]),
        help="The columns and files that this trainer reads, and no others.",
    ),
    click.option(
        "--format", type=Choice(["parquet", "arrow"]), help="The shards' format. [default: parquet]"
    ),
    click.option(
        "--compression",
        type=Choice(["zstd", "snappy", "lz4", "gzip", "none"]),
        help="The shards' compression. [default: zstd for parquet, none for arrow]",
    ),
    click.option(
        "--split-size", metavar="SIZE", help="At most this much input becomes one shard. [default: 128MiB]"
    ),
)
WORK = (
    click.option(
        "--num-proc",
        type=NumberOrAuto(),
        metavar="N|auto",
        help="So many processes do the splits. No byte of the output hangs on it. [default: auto]",
    ),
)
WHICH = (
    click.option(
        "--val-size",
        metavar="P%|N",
        help="Put this share of all prompts, or N rows, into a split `validation`. Equal prompts stay "
        "together.",
    ),
    click.option(
        "--shuffle/--no-shuffle",
        default=None,
        help="Put the rows in a random order. Takes 130 bytes of memory a row. [default: no-shuffle]",
    ),
    click.option("--seed", type=int, metavar="N", help="Another number, another order. [default: 0]"),
    click.option(
        "--dedup",
        metavar="HOW",
        help="Keep the first of the records that say the same (exact), ask the same (prompt), or say nearly "
        "the same (near, which is near:0.8; up to near:1, which is word for word). Takes 130 bytes of memory "
        "a record, near 60 more. [default: none]",
    ),
)


def write_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as the values of a Config, as far as they are not so yet."""
    pad, multiple = flags["pad"], flags.pop("pad_to_multiple_of")
    if multiple is not None:
        if pad not in (None, f"multiple-of:{multiple}"):
            raise UsageError(
                f"--pad-to-multiple-of {multiple}: does not go with --pad {pad}; leave one of them out"
            )
        pad = f"multiple-of:{multiple}"
    columns = [name for text in flags["columns"] for name in text.split(",")]
    return {**flags, "pad": pad, "columns": columns}

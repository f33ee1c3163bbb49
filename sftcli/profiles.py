"""The readers that `--profile` names: their columns and files, and what their users must know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_CAUSAL = ("input_ids", "attention_mask", "labels")


@dataclass(frozen=True)
class Profile:
    """What one reader takes. `formats` are those of the shards, the first one where none is named.

    `packed_columns` are the columns of packed rows, empty where the reader takes none: `not_packed` then
    says what to do. `targets` is how what is learnt lies beside the ids: the token itself (causal), or
    the next one (shifted); with `needs_context` the first token of a row is not learnt, since the reader
    would predict it from the row before. `types` are the types of values that are not the usual ones.
    A reader that `drops_columns` which it does not know may be given more of them.
    `advice` and `packed_advice` are what a user must know to have the rows read as they are.
    """

    columns: tuple[str, ...]
    formats: tuple[str, ...]
    advice: str
    packed_columns: tuple[str, ...] = ()
    packed_advice: str = ""
    not_packed: str = ""
    targets: Literal["causal", "shifted"] = "causal"
    needs_context: bool = False
    drops_columns: bool = False
    types: Mapping[str, str] = field(default_factory=dict)


PROFILES: Mapping[str, Profile] = {
    "trl": Profile(
        ("input_ids", "labels"),
        ("parquet", "arrow"),
        "SFTTrainer cuts rows to max_length, which is 1024 unless you pass max_length=None.",
        packed_columns=("input_ids", "labels", "seq_lengths"),
        packed_advice="Pass packing=False, padding_free=True, max_length=None to SFTConfig: packing=True "
        "would pack again and lose where documents begin.",
        drops_columns=True,
    ),
    "axolotl": Profile(
        _CAUSAL,
        ("parquet",),
        "Name the folder as `path:` with `ds_type: parquet` and an empty `type:`; rows longer than "
        "sequence_len are dropped.",
        not_packed="axolotl packs by itself (sample_packing: true)",
    ),
    "llama-factory": Profile(
        _CAUSAL,
        ("arrow",),
        "Set tokenized_path to the folder, and dataset to any word: it must be named too, and is not read. "
        "Check the folder's name, since any folder that is not empty is taken for tokenized data; "
        "cutoff_len is not applied.",
        not_packed="its three columns do not tell where documents begin",
    ),
    "megatron": Profile(
        ("input_ids", "loss_mask", "seq_start_id"),
        ("parquet",),
        "Name the folder or its shards as packed data; loss_mask is moved one to the left: it marks the "
        "places whose next token is learnt.",
        packed_columns=("input_ids", "loss_mask", "seq_start_id"),
        targets="shifted",
        needs_context=True,
        types={"loss_mask": "uint8"},
    ),
    "skyrl": Profile(
        ("input_ids", "loss_mask"),
        ("parquet", "arrow"),
        "Name a shard and not the folder, whose .json files it would take for data; it takes the folder "
        "with --format arrow.",
        not_packed="it packs by itself",
    ),
    "olmo": Profile(
        ("input_ids", "loss_mask"),
        ("npy",),
        "The .npy files are bare arrays (np.fromfile, not np.load), of the types that README.md says; pass "
        "use_array_if_local=False, so that rows begin where the .csv.gz says and not after each eos.",
        not_packed="OLMo-core packs by itself (NumpyPackedFSLDataset)",
        needs_context=True,
        types={"loss_mask": "uint8"},
    ),
}


def advice_on(name: str | None, packed: bool) -> str | None:
    """What must be known of the reader of this name to have the rows read as they are; None of no reader."""
    if name is None:
        return None
    profile = PROFILES[name]
    return (packed and profile.packed_advice) or profile.advice

"""What a report and a dataset's card say that a user must know (whole reports: golden/cli-shaping.txt)."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TALKS, Here, chat, make, manifest, write

from sftcli.advice import advice, advice_on_validation, empty_sources, nothing_to_write
from sftcli.arrange.sides import Given
from sftcli.config import load_config
from sftcli.report import SplitReport
from sftcli.sources import Source, Sources
from sftcli.tokenizer import Tokenizer

MASK_OF_ONES = (
    "with an attention_mask of ones transformers lets packed documents see one another: leave that column "
    "out when you train (position_ids alone keep them apart), or take --profile trl"
)
NOTHING_TO_PAD_WITH = (
    "the tokenizer has no pad token, which data collators ask for: pass --pad-token TEXT, or set "
    "tokenizer.pad_token"
)
PADDED_WITH_EOS = (
    "padded with the eos token <|im_end|>, since the tokenizer has no pad token; padding is masked by its "
    "place, so that no answer loses its end"
)
WEIGHTS = (
    "labels of all weighted roles are set: a trainer that does not read loss_weights trains them at weight 1 "
    "(docs/shaping.md)"
)
PACKED: dict[str, Any] = {"packing": "bfd", "max_length": 64}
# Options, and what is said where the tokenizer has a pad token, and where it has none.
CASES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "rows that the reader pads": ({}, [], [NOTHING_TO_PAD_WITH]),
    "seq2seq": ({"layout": "seq2seq"}, [], [NOTHING_TO_PAD_WITH]),
    "rows that are padded": ({"pad": "multiple-of:8"}, [], [PADDED_WITH_EOS]),
    "packed rows": (PACKED, [MASK_OF_ONES], [MASK_OF_ONES]),
    "packed rows that are padded": (
        {**PACKED, "pad": "max-length"},
        [MASK_OF_ONES],
        [MASK_OF_ONES, PADDED_WITH_EOS],
    ),
    "weights": ({"loss_weight": {"user": 0.1}}, [WEIGHTS], [NOTHING_TO_PAD_WITH, WEIGHTS]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_options(small: Callable[[str], Tokenizer], case: str) -> None:
    options, with_pad, without = CASES[case]
    config = load_config(None, {"tokenizer": "demo", **options})
    for pad, wanted in (("<pad>", with_pad), (None, without)):
        tokenizer = small("llama3_small")
        tokenizer = replace(tokenizer, specials={**tokenizer.specials, "pad": pad, "eos": "<|im_end|>"})
        assert advice(config, tokenizer) == tuple(wanted)


@pytest.mark.parametrize("profile", ["trl", "megatron"])
def test_a_profile_knows_its_reader(small: Callable[[str], Tokenizer], profile: str) -> None:
    """It has columns by which documents are kept apart, and a reader that brings its own padding."""
    tokenizer = small("llama3_small")
    tokenizer = replace(tokenizer, specials={**tokenizer.specials, "pad": None})
    for options in ({}, PACKED):
        (only,) = advice(load_config(None, {"profile": profile, **options}), tokenizer)
        assert only.startswith(f"{profile}: ")


def test_the_card_says_it_too(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *TALKS)
    report = make(
        tmp_path / "out", source, template="chatml", packing="bfd", max_length=64, loss_weight={"user": 2}
    )
    assert report.advice == (MASK_OF_ONES, WEIGHTS)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.endswith(
        f"\n\nTo have the rows trained as they are meant:\n\n- {MASK_OF_ONES}\n- {WEIGHTS}\n"
    )
    make(tmp_path / "plain", source, template="chatml")
    assert "as they are meant" not in (tmp_path / "plain" / "README.md").read_text()


@pytest.mark.parametrize(
    ("size", "held", "records", "told"),
    [
        ("10%", 5, 100, None),
        ("10%", 20, 100, None),
        ("50", 1, 100, None),  # a number of rows is met
        (None, 0, 100, None),
        ("10%", 4, 100, "validation has 4 of 100 records (4.0%), and --val-size asks for 10%"),
        ("10%", 21, 100, "validation has 21 of 100 records (21.0%), and --val-size asks for 10%"),
    ],
)
def test_a_share_that_is_far_off(size: str | None, held: int, records: int, told: str | None) -> None:
    rest = " of all prompts, of which there are few: pass a number of rows, such as --val-size 10"
    config = load_config(None, {"val_size": size})
    assert advice_on_validation(config, held, records) == (told and told + rest)


@pytest.mark.parametrize(
    ("window", "length", "told"),
    [
        (1024, 1024, None),
        (1024, None, None),
        (None, 4096, None),
        (int(1e30), 4096, None),  # what transformers writes where it knows none
        (1e30, 4096, None),
        ("1024", 4096, None),
        (1024, 1025, "--max-length 1,025 is more than the 1,024 tokens that the model reads"),
    ],
)
def test_a_length_beyond_the_models_own(
    small: Callable[[str], Tokenizer], window: object, length: int | None, told: str | None
) -> None:
    tokenizer = small("llama3_small")
    tokenizer = replace(
        tokenizer,
        config=tokenizer.config | {"model_max_length": window},
        specials={**tokenizer.specials, "pad": "<pad>"},
    )
    found = advice(load_config(None, {"max_length": length}), tokenizer)
    rest = ", as its tokenizer_config.json says (model_max_length): a longer row is cut or fails in training"
    assert found == (() if told is None else (told + rest,))


def sources_of(tmp_path: Path, *counts: SplitReport) -> list[Source]:
    """Sources that were read with these counts; none of their rows is written."""
    names = [chr(ord("a") + number) for number in range(len(counts))]
    inputs = [str(write(tmp_path / f"{name}.jsonl", chat("Hi", "Hello"))) for name in names]
    options = [{"name": name, "inputs": [file]} for name, file in zip(names, inputs, strict=True)]
    found = Sources(load_config(None, {"tokenizer": "demo", "sources": options})).all
    for source, count in zip(found, counts, strict=True):
        source.counts = count
    return found


def left(lines: int, **reasons: int) -> SplitReport:
    return SplitReport(
        lines=lines,
        dropped=Counter(reasons),
        places_at={reason: [f"in.jsonl:{number}"] for number, reason in enumerate(reasons, 1)},
    )


NOTHING: dict[str, tuple[list[SplitReport], str]] = {
    "all of one reason": (
        [left(2, too_long=2)],
        "2 lines read, 2 T001 too_long. The first T001 is in.jsonl:1: shorten or drop the record, raise "
        "--max-length, or let --truncation shorten such rows",
    ),
    "the most frequent one says what to do": (
        [left(9, too_long=3, few_trained_tokens=6)],
        "9 lines read, 3 T001 too_long, 6 T009 few_trained_tokens. The first T009 is in.jsonl:2: drop the "
        "record, or lower --min-trained",
    ),
    "duplicates of what is dropped": (
        [left(3, no_trained_tokens=1, duplicate_record=2)],
        "3 lines read, 2 D001 duplicate_record, 1 T002 no_trained_tokens. The first D001 is in.jsonl:2: keep "
        "one of them; what is there twice is learnt twice as hard",
    ),
    "a source without rows, and shares": (
        [left(7, mix_weight=7), left(1, too_long=1)],
        "8 lines read, 1 T001 too_long, 7 over their source's weight. A weight is a share of all rows, and "
        "source 'b' has no row to give: mend it, or leave it out",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_why_there_is_no_row(tmp_path: Path, case: str) -> None:
    counts, told = NOTHING[case]
    total = SplitReport()
    for count in counts:
        total.add(count)
    assert nothing_to_write(total, sources_of(tmp_path, *counts)) == f"no row to write: {told}"


def test_rules_that_only_warn_are_not_why_there_is_no_row(tmp_path: Path) -> None:
    counts = left(1, too_long=1)
    counts.warned, counts.first_warned = Counter(C007=1), {"C007": "in.jsonl:1"}
    assert "C007" not in nothing_to_write(counts, sources_of(tmp_path, counts))


def test_a_source_without_rows_is_told(tmp_path: Path) -> None:
    counts = (SplitReport(lines=1), left(4, too_long=1, mix_weight=3), SplitReport(lines=2, blank=1))
    sources = sources_of(tmp_path, *counts)
    sources[0].given = Given(rows=1)
    assert empty_sources(sources) == [
        "source 'b' gives no row: 4 records, 3 over its weight, 1 too_long",
        "source 'c' gives no row: 1 record",
    ]
    assert empty_sources(sources[1:2]) == []  # that is an error


def test_padding_is_counted_apart(tmp_path: Path, sftcli_here: Here) -> None:
    """Whatever the order of the rows, and however many shards there are."""
    source = write(tmp_path / "in.jsonl", *TALKS, chat("Why?", "So."))
    plain = make(tmp_path / "plain", source, template="chatml", columns=["length"])
    assert (plain.padding, plain.counts.padding) == (None, 0)
    rows = _lengths(tmp_path / "plain")
    cases: tuple[dict[str, Any], ...] = ({}, {"shuffle": True}, {"val_size": 2})
    for options in cases:
        report = make(tmp_path / str(options), source, template="chatml", pad="multiple-of:16", **options)
        assert report.counts.padding == sum(-length % 16 for length in rows) > 0
        assert report.counts.tokens == sum(rows)
    ended = sftcli_here(
        *("prepare", str(source), "-t", "demo", "--template", "chatml", "-o", str(tmp_path / "json")),
        *("--pad", "max-length", "--max-length", "64", "--json"),
    )
    found = json.loads(ended.out)
    assert found["padding"] == {"token": 4093, "side": "right", "length": 64, "multiple": 1}
    assert found["padding_tokens"] == 4 * 64 - sum(rows)


def _lengths(folder: Path) -> list[int]:
    import pyarrow.parquet as pq

    return list(pq.read_table(folder / "train-00000-of-00001.parquet")["length"].to_pylist())


@pytest.mark.parametrize("packing", ["bfd", "wrapped"])
def test_both_splits_tell_records_and_rows(tmp_path: Path, packing: str) -> None:
    talks = [chat(f"{number}?", f"{number}!") for number in range(40)]
    source = write(tmp_path / "in.jsonl", *talks)
    for shuffle in (False, True):
        out = tmp_path / str(shuffle)
        options: dict[str, Any] = {
            "packing": packing,
            "max_length": 60,
            "val_size": "30%",
            "shuffle": shuffle,
        }
        splits = make(out, source, template="chatml", **options).splits
        assert manifest(out)["splits"] == splits
        assert splits["train"]["records"] + splits["validation"]["records"] == 40
        assert all(1 <= side["rows"] < side["records"] for side in splits.values())

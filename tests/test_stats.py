"""Every figure of `stats` against a slow and obvious computation, and the pages that show them."""

import json
import math
import re
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CONFIGS, EXAMPLES, Ended, Here, chat, jsonl, make, run_sftcli, write
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import chatml
from test_cli import HEAVY, imported

from sftcli.config import load_config
from sftcli.errors import EnvironmentFault, OutputError
from sftcli.packing import best_fit_decreasing
from sftcli.stats.compare import show_comparison
from sftcli.stats.count import RowCounts
from sftcli.stats.distribution import Distribution
from sftcli.stats.figures import (
    LIMITS,
    Bin,
    Figures,
    FirstToken,
    Limit,
    Packing,
    Padding,
    Spread,
    TurnFigures,
    figures,
)
from sftcli.stats.histogram import bar
from sftcli.stats.measure import Layout, Reason
from sftcli.stats.padding import padded_at_random, padded_sorted
from sftcli.stats.plot import draw_lengths
from sftcli.stats.prepared import measure_prepared
from sftcli.stats.raw import measure_raw
from sftcli.stats.text import percent, show_stats, token_text
from sftcli.view.cells import one_line, width_of
from sftcli.view.page import Screen

QA = CONFIGS / "templates" / "qa.yaml"
CHAT, PROBLEMS = EXAMPLES / "chat.jsonl", EXAMPLES / "gsm8k.jsonl"
SGR = re.compile(r"\x1b\[[0-9;]*m")
PLAIN = Screen(False, 80)
VALUES = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def distribution(values: list[int]) -> Distribution:
    return Distribution.of(Counter(values))


def raw(*inputs: Path, **options: Any) -> Figures:
    values = {"tokenizer": "demo", "inputs": [str(file) for file in inputs], **options}
    return figures([measure_raw(load_config(None, values), "source")])[0]


def prepared(folder: Path) -> Figures:
    return figures([measure_prepared(folder)])[0]


# The figures of a distribution


@given(VALUES, st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_percentiles_are_by_nearest_rank(values: list[int], rank: int) -> None:
    expected = sorted(values)[math.ceil(Fraction(rank, 100) * len(values)) - 1]
    assert distribution(values).percentile(rank) == expected
    assert expected == np.percentile(values, rank, method="inverted_cdf")


@given(VALUES, VALUES, st.integers(0, 50))
def test_sums_and_what_is_above_a_limit(one: list[int], other: list[int], limit: int) -> None:
    both = distribution(one) + distribution(other)
    values = one + other
    assert list(zip(both.values.tolist(), both.rows.tolist(), strict=True)) == sorted(Counter(values).items())
    assert (len(both), both.total) == (len(values), sum(values))
    over = [value for value in values if value > limit]
    assert both.above(limit) == (len(over), sum(over))


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=50), st.integers(1, 20))
def test_bins_hold_every_row_once(values: list[int], most: int) -> None:
    found = distribution(values)
    starts = found.bin_starts(most)
    assert 1 <= len(starts) <= most
    widths = {second - first for first, second in pairwise(starts)}
    assert len(widths) <= 1
    assert all(width & (width - 1) == 0 and start % width == 0 for width in widths for start in starts)
    stops = [*starts[1:], math.inf]
    assert found.in_bins(starts) == [
        sum(start <= value < stop for value in values) for start, stop in zip(starts, stops, strict=True)
    ]
    assert sum(found.in_bins(starts)) == len(values)


@pytest.mark.parametrize(
    ("values", "starts"),
    [
        ([], []),
        ([7], [7]),
        ([7] * 9, [7]),
        ([3, 4], [3, 4]),
        (range(16), range(16)),
        (range(17), range(0, 17, 2)),
        ([100, 163], range(100, 164, 4)),
        ([100, 164], range(96, 165, 8)),
        # One row that is far longer than all others stands in the last bin and squeezes none.
        ([*range(1, 17), *[16] * 200, 90_000], range(1, 17)),
    ],
)
def test_where_bins_begin(values: list[int], starts: list[int]) -> None:
    assert distribution(list(values)).bin_starts(16) == list(starts)


# Padding


def padded(batches: list[tuple[int, ...]]) -> int:
    return sum(len(batch) * max(batch) for batch in batches if batch)


def expected_by_trying_all(lengths: list[int], batch: int) -> Fraction:
    """Every batch of a random order is a random set of its size; so the mean over all sets of each size."""
    full, left = divmod(len(lengths), batch)
    total = Fraction(0)
    for size, times in ((batch, full), (left, 1)):
        if size and times:
            sets = list(combinations(lengths, size))
            total += times * Fraction(padded(sets), len(sets))
    return total


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(1, 10))
def test_padding_at_random_is_the_mean_of_all_orders(lengths: list[int], batch: int) -> None:
    expected = expected_by_trying_all(lengths, batch)
    assert padded_at_random(distribution(lengths), batch) == pytest.approx(float(expected), rel=1e-12)


def test_padding_at_random_as_a_shuffle_has_it() -> None:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(4.7, 0.8, 1_003).astype(int), 1, None)
    tries = []
    for _ in range(200):
        order = rng.permutation(lengths).tolist()
        tries.append(padded([tuple(order[at : at + 8]) for at in range(0, len(order), 8)]))
    expected = padded_at_random(distribution(lengths.tolist()), 8)
    error = statistics.stdev(tries) / math.sqrt(len(tries))
    assert abs(statistics.mean(tries) - expected) < 4 * error < 0.01 * expected


@given(VALUES, st.integers(1, 33))
def test_padding_of_sorted_rows(lengths: list[int], batch: int) -> None:
    order = sorted(lengths, reverse=True)
    batches = [tuple(order[at : at + batch]) for at in range(0, len(order), batch)]
    assert padded_sorted(distribution(lengths), batch) == padded(batches)


def test_padding_to_be_worked_out_by_hand() -> None:
    # 10 and 20 with either of them longer: batches of 2 are [10, 10], [10, 20] (2 ways) of 3 pairs.
    lengths = distribution([10, 10, 20])
    assert padded_at_random(lengths, 2) == pytest.approx((20 + 40 + 40) / 3 + (10 + 10 + 20) / 3)
    assert padded_sorted(lengths, 2) == 20 + 20 + 10
    assert padded_at_random(lengths, 8) == padded_sorted(lengths, 8) == 60


# Counting rows


ROWS = st.lists(st.lists(st.booleans(), max_size=6), max_size=12)


@given(ROWS, st.integers(0, 12))
def test_rows_are_counted_as_one_by_one(rows: list[list[bool]], cut: int) -> None:
    total = RowCounts()
    for part in (rows[:cut], rows[cut:]):
        counts = RowCounts()
        flags = np.array([flag for row in part for flag in row], np.bool_)
        offsets = np.cumsum([0, *map(len, part)])
        counts.add(np.arange(len(flags)), flags, offsets, np.diff(offsets))
        total.merge(counts)
    assert total.lengths == Counter(map(len, rows))
    assert total.trained == Counter(map(sum, rows))
    assert total.shares == Counter(100 * sum(row) // max(len(row), 1) for row in rows)
    first: Counter[int] = Counter()
    for part in (rows[:cut], rows[cut:]):
        start = 0
        for row in part:
            first.update([start + row.index(True)] if True in row else [])
            start += len(row)
    assert total.first == first


# A source, slowly


def columns_of(folder: Path) -> list[tuple[list[int], list[int]]]:
    """(ids, labels) of every row, shard by shard."""
    rows = []
    for shard in sorted(folder.glob("*-of-*")):
        if shard.suffix == ".parquet":
            table = pq.read_table(shard)
        else:
            with pa.memory_map(str(shard)) as source:
                table = pa.ipc.open_stream(source).read_all()
        rows += zip(table["input_ids"].to_pylist(), table["labels"].to_pylist(), strict=True)
    return rows


def check_against_rows(found: Figures, rows: list[tuple[list[int], list[int]]]) -> None:
    """Everything that can be told from ids and labels, told in the plainest way."""
    lengths = [len(ids) for ids, _ in rows]
    trained = [sum(label != -100 for label in labels) for _, labels in rows]
    tokens = sum(lengths)
    assert (found.rows, found.tokens, found.trained_tokens) == (len(rows), tokens, sum(trained))
    assert found.trained_share == round(sum(trained) / tokens, 6)
    shares = [100 * part // length for part, length in zip(trained, lengths, strict=True)]
    for spread, values in (
        (found.lengths, lengths),
        (found.trained_lengths, trained),
        (found.trained_percent, shares),
    ):
        assert spread is not None
        ranks = [int(np.percentile(values, rank, method="inverted_cdf")) for rank in (50, 90, 95, 99)]
        assert [spread.p50, spread.p90, spread.p95, spread.p99] == ranks
        assert (spread.min, spread.max) == (min(values), max(values))
        assert spread.mean == round(sum(values) / len(values), 2)
    for limit in found.limits:
        over = [length for length in lengths if length > limit.limit]
        assert (limit.rows, limit.tokens_dropped) == (len(over), sum(over))
        assert limit.tokens_cut == sum(length - limit.limit for length in over)
        assert limit.share == round(len(over) / len(rows), 6)
    order = sorted(lengths, reverse=True)
    for padding in found.padding:
        batches = [tuple(order[at : at + padding.batch]) for at in range(0, len(order), padding.batch)]
        assert padding.sorted_tokens == padded(batches) - tokens
        assert padding.sorted == round(1 - tokens / padded(batches), 6)
        assert padding.random_tokens >= padding.sorted_tokens
    assert found.packing is not None
    assert found.packing.length == next(limit for limit in LIMITS if max(lengths) <= limit)
    used = len(set(best_fit_decreasing(np.array(lengths), found.packing.length).tolist()))
    assert (found.packing.bins, found.packing.rows_too_long) == (used, 0)
    assert found.packing.fill == round(tokens / (used * found.packing.length), 6)
    firsts = Counter(next(label for label in labels if label != -100) for _, labels in rows)
    most = sorted(firsts.items(), key=lambda item: (-item[1], item[0]))[:10]
    assert [(token.id, token.rows) for token in found.first_trained] == most
    assert [token.share for token in found.first_trained] == [round(n / len(rows), 6) for _, n in most]
    for one in found.length_histogram:
        assert one.rows == sum(one.first <= length <= one.last for length in lengths)
    assert sum(one.rows for one in found.length_histogram) == len(rows)
    for one in found.trained_percent_histogram:
        assert one.rows == sum(one.first <= part <= one.last for part in shares)


def same(one: Figures, other: Figures) -> bool:
    """Equal in all that does not say what kind of source it is."""
    own = ("source", "kind", "turns", "empty_thinking_rows", "unknown", "dropped", "rejected")
    facts = [
        {key: value for key, value in found.as_json().items() if key not in own} for found in (one, other)
    ]
    for name in ("dropped", "rejected"):
        for found, fact in zip((one, other), facts, strict=True):
            fact[name] = {reason: left.rows for reason, left in getattr(found, name).items()}
    return facts[0] == facts[1]


def check_source(folder: Path, *inputs: Path, **options: Any) -> Figures:
    """Raw data and both formats say the same, and what the rows say."""
    found = raw(*inputs, **options)
    for format_ in ("parquet", "arrow"):
        out = folder / format_
        make(out, *inputs, format=format_, on_error="skip", **options)
        written = prepared(out)
        assert same(written, found)
        check_against_rows(written, columns_of(out))
        assert (written.turns, written.empty_thinking_rows) == (None, None)
    return found


def test_the_bundled_conversations(tmp_path: Path) -> None:
    found = check_source(tmp_path, CHAT, template="chatml")
    assert (found.records, found.rows, found.trained_tokens) == (16, 16, 638)


def test_the_bundled_problems(tmp_path: Path) -> None:
    found = check_source(tmp_path, PROBLEMS, template=str(CONFIGS / "templates" / "qa.yaml"))
    assert (found.rows, found.tokens, found.trained_tokens) == (200, 33_048, 20_329)
    assert found.lengths is not None
    assert found.lengths.max == 361


def test_rows_that_are_too_long_and_bad_records(tmp_path: Path) -> None:
    records = tmp_path / "in.jsonl"
    talk = chat("Hi", "Hello")
    stranger = {"messages": [{"role": "boss", "content": "Hi"}]}
    records.write_bytes(
        jsonl(talk, chat("Hi", "word " * 300))
        + b"\n"
        + jsonl(stranger, {"messages": []}, talk, {"messages": 1}, chat("Hi", "word " * 400))
    )
    found = check_source(tmp_path, records, template="chatml", max_length=100)
    assert (found.records, found.rows, found.blank_lines) == (7, 2, 1)
    facts = found.as_json()
    assert facts["dropped"] == {"too_long": {"rows": 2, "first": f"{records}:2"}}
    assert facts["rejected"] == {
        "empty_messages": {"rows": 1, "first": f"{records}:5:14"},
        "unknown_role": {"rows": 1, "first": f"{records}:4:24"},
        "wrong_type": {"rows": 1, "first": f"{records}:7:14"},
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gsm8k", {"template": str(CONFIGS / "templates" / "qa.yaml")}),
        ("alpaca_en", {"template": "llama3", "max_length": 400}),
        ("sharegpt", {"template": "llama3"}),
        ("sharegpt_tools", {"template": "llama3"}),
    ],
)
def test_real_data(tmp_path: Path, shared: Path, name: str, options: dict[str, Any]) -> None:
    options["tokenizer"] = str(shared / "tokenizers" / "llama3")
    found = check_source(tmp_path, shared / "data" / f"{name}.jsonl", **options)
    assert found.rows > 100


def test_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    lines = CHAT.read_bytes().splitlines(keepends=True)
    for index in range(4):
        parts.append(tmp_path / f"{index}.jsonl")
        parts[-1].write_bytes(b"".join(lines[index::4]))
    one = check_source(tmp_path, *parts, template="chatml")
    assert same(one, raw(CHAT, template="chatml"))


def test_limit_counts_the_first_records(tmp_path: Path) -> None:
    head = tmp_path / "head.jsonl"
    head.write_bytes(b"".join(CHAT.read_bytes().splitlines(keepends=True)[:5]))
    assert raw(CHAT, template="chatml", limit=5) == raw(head, template="chatml")
    assert raw(head, CHAT, template="chatml", limit=5) == raw(head, template="chatml")


def test_many_row_groups_are_counted_as_one(tmp_path: Path) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    shard = next((tmp_path / "out").glob("*.parquet"))
    before = prepared(tmp_path / "out")
    table = pq.read_table(shard)
    pq.write_table(table, shard, row_group_size=3)
    assert pq.read_metadata(shard).num_row_groups == 6
    assert prepared(tmp_path / "out") == before


def test_rows_of_thousands_of_tokens(tmp_path: Path) -> None:
    talks = [chat("Hi", " ".join(["word"] * words)) for words in (3, 200, 500, 1_000, 1_100, 3_000, 9_000)]
    found = check_source(tmp_path, write(tmp_path / "in.jsonl", *talks), template="chatml")
    assert [limit.rows for limit in found.limits] == [5, 3, 2, 1, 1, 0]


def of_lengths(*sources: dict[int, int]) -> list[Figures]:
    """The figures of sources with so many rows of each length."""
    values = {"tokenizer": "demo", "inputs": [str(CHAT)], "template": "chatml", "limit": 1}
    measured = measure_raw(load_config(None, values), "source")
    found = []
    for rows in map(Counter, sources):
        counts = RowCounts(lengths=rows, trained=rows, shares=Counter({100: rows.total()}))
        found.append(replace(measured, rows=counts))
    return figures(found)


@pytest.mark.parametrize(
    ("longest", "rows_over", "length"),
    [
        (511, [3, 3, 3, *[0] * 6], 512),
        (512, [3, 3, 3, *[0] * 6], 512),
        (513, [3, 0, 0, 0, 0, 0], 1024),
        (16384, [3, 3, 3, 3, 3, 0], 16384),
        (16385, [3] * 6, 4096),
    ],
)
def test_a_row_as_long_as_a_limit_is_not_over_it(longest: int, rows_over: list[int], length: int) -> None:
    found = of_lengths({longest: 3, 10: 4})[0]
    assert [limit.rows for limit in found.limits] == rows_over
    assert [limit.tokens_dropped for limit in found.limits] == [longest * rows for rows in rows_over]
    limits = [limit.limit for limit in found.limits]
    assert limits == [*[64, 128, 256] * (longest <= 512), *LIMITS]
    cut = [rows * (longest - limit) for rows, limit in zip(rows_over, limits, strict=True)]
    assert [limit.tokens_cut for limit in found.limits] == cut
    assert found.packing is not None
    assert (found.packing.length, found.packing.rows_too_long) == (length, 3 if length < longest else 0)


def test_the_table_of_limits_ends_where_no_row_is_longer() -> None:
    def shown(found: Figures) -> list[str]:
        section = show_stats(found, PLAIN, {}).split("\n\nLimits")[1].split("\n\n")[0]
        return [line.split()[0] for line in section.splitlines()[2:-1]]

    assert shown(of_lengths({60: 2})[0]) == ["64"]
    assert shown(of_lengths({300: 2})[0]) == ["64", "128", "256", "512"]
    assert shown(of_lengths({3000: 2})[0]) == ["512", "1,024", "2,048", "4,096"]
    assert shown(of_lengths({99999: 1})[0]) == [f"{limit:,}" for limit in LIMITS]
    short, long = of_lengths({10: 1}, {600: 1})
    page = show_comparison(short, long, PLAIN).split("Rows over a limit\n")[1].split("\n\n")[0]
    assert [line.split() for line in page.splitlines()] == [
        ["512", "tokens", "0.0%", "100.0%", "+100.0", "points"],
        ["1,024", "tokens", "0.0%", "0.0%", "0"],
    ]


def test_limits_and_batches_that_are_named(sftcli_here: Here) -> None:
    args = ("stats", str(PROBLEMS), "-t", "demo", "--template", str(QA), "--limits", "300,100,200", "--json")
    found = json.loads(sftcli_here(*args, "--batch-size", "16,4").out)
    assert [limit["limit"] for limit in found["limits"]] == [100, 200, 300]
    assert [padding["batch"] for padding in found["padding"]] == [4, 16]
    assert found["packing"]["length"] == 512
    args = ("stats", str(CHAT), str(CHAT), "-t", "demo", "--template", "chatml", "--limits", "40,99")
    page = sftcli_here(*args, "--batch-size", "3").out.split("Rows over a limit\n")[1]
    assert re.findall(r"^ {4}(\w+ tokens|batches.*?)  ", page, re.MULTILINE) == [
        *("40 tokens", "99 tokens"),
        *("batches of 3, in random order", "batches of 3, sorted by length"),
    ]


def test_two_sources_pack_into_the_length_that_fits_both() -> None:
    found = of_lengths({100: 1}, {3000: 1})
    assert [one.packing and one.packing.length for one in found] == [4096, 4096]
    assert [one.length_histogram[-1].last for one in found] == [3000, 3000]


def test_the_first_bad_record_of_several_files(tmp_path: Path) -> None:
    good, bad = chat("Hi", "Hello"), {"messages": []}
    files = [write(tmp_path / "a.jsonl", good), write(tmp_path / "b.jsonl", good, bad)]
    files.append(write(tmp_path / "c.jsonl", bad))
    found = raw(*files, template="chatml")
    assert found.as_json()["rejected"] == {"empty_messages": {"rows": 2, "first": f"{files[1]}:2:14"}}


# Turns, roles, thinking, what is to be known of the data


def test_turns_and_roles(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    records = write(
        tmp_path / "in.jsonl",
        chat("a", "b"),
        {"messages": [system, *chat("a", "b", "c", "d")["messages"]]},
        chat("a", "b", "c"),
        {"messages": []},
    )
    found = raw(records, template="chatml").turns
    assert found is not None
    assert found.conversations == 3
    assert (found.spread.min, found.spread.max, found.spread.p50) == (2, 5, 3)
    assert found.spread.mean == 3.33
    assert found.roles == {"user": 5, "assistant": 4, "system": 1}
    assert list(found.roles) == ["user", "assistant", "system"]


def test_turns_are_of_the_rows_that_are_written(tmp_path: Path) -> None:
    long = " ".join(["word"] * 60)
    talks = [
        chat("a", "b"),
        chat("a", "b", "c", f"<think></think>{long}"),
        {"messages": []},
        chat("a", "<think></think>b"),
        chat("a", long),
    ]
    # Many blocks, whose rows are encoded beside the laying out of those that follow.
    records = write(tmp_path / "in.jsonl", *talks * 9_000)
    found = raw(records, template="chatml", max_length=40)
    assert (found.rows, found.dropped["too_long"].rows) == (18_000, 18_000)
    assert found.turns is not None
    assert found.turns.conversations == found.turns.spread.max * 9_000 == 18_000
    assert found.turns.roles == {"assistant": 18_000, "user": 18_000}
    assert found.empty_thinking_rows == 9_000


def test_what_is_counted_before_rows_are_dropped_says_so(tmp_path: Path) -> None:
    long = " ".join(["word"] * 60)
    talks = [chat("a", "b<|im_end|>"), chat("<|im_end|>", long), chat("a", f"{long}<|im_end|>")]
    page = show_stats(raw(write(tmp_path / "in.jsonl", *talks), template="chatml", max_length=40), PLAIN, {})
    assert "note        1 row (of 3 laid out) with control-token text in the data" in page
    assert "note        2 rows (of 3 laid out): terminator_in_content" in page


def test_what_a_source_cannot_know_says_why(tmp_path: Path) -> None:
    texts = write(tmp_path / "in.jsonl", {"text": "Once upon a time"})
    found = raw(texts)
    assert found.turns is None
    assert found.unknown == {"turns": "text records hold no messages"}
    make(tmp_path / "out", texts)
    why = "a prepared folder holds ids and labels, and no turns; take the raw data"
    assert prepared(tmp_path / "out").unknown == {"turns": why, "empty_thinking_rows": why}


def test_empty_thinking_in_answers(tmp_path: Path) -> None:
    records = write(
        tmp_path / "in.jsonl",
        chat("a", "<think>\n\n</think>\n\nb"),
        chat("a", "<think></think>b", "c", "<think></think>d"),
        chat("a", "<think>well</think>b"),
        chat("what is <think></think>?", "nothing"),
    )
    assert raw(records, template="chatml").empty_thinking_rows == 2


def test_empty_thinking_that_the_template_writes(tmp_path: Path) -> None:
    template = tmp_path / "thinks.jinja"
    template.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    records = write(tmp_path / "in.jsonl", chat("a", "b"), chat("a", "c"))
    found = raw(records, template=str(template))
    assert (found.empty_thinking_rows, found.notes) == (2, {"injected_text": 2})


def test_control_text_straddles_and_notes(tmp_path: Path) -> None:
    records = write(tmp_path / "in.jsonl", chat("<|im_end|>", "b"), chat("a", "b<|im_end|>"), chat("a", "b"))
    found = check_source(tmp_path, records, template="chatml")
    assert (found.control_text_rows, found.notes) == (1, {"terminator_in_content": 1})
    problems = write(tmp_path / "p.jsonl", *[{"prompt": "Answer: ", "completion": "Paris"}] * 3)
    straddling = check_source(tmp_path / "straddle", problems, template="plain").straddling_tokens
    assert straddling == {"masked": 0, "trained": 3}


def test_first_trained_tokens(tmp_path: Path) -> None:
    answers = ["Hello", "Hello you", "Yes", "😀", "\n"]
    records = write(tmp_path / "in.jsonl", *(chat("a", answer) for answer in answers[:4]))
    found = raw(records, template="chatml").first_trained
    assert (found[0].text, found[0].rows, found[0].share) == ("Hello", 2, 0.5)
    texts = {token.text for token in found[1:]}
    assert "Yes" in texts
    assert any(text.startswith("\\xf0") or text == "😀" for text in texts)


# Few rows


def test_no_rows(tmp_path: Path) -> None:
    records = write(tmp_path / "in.jsonl", chat("Hi", "word " * 300))
    found = raw(records, template="chatml", max_length=20)
    assert (found.records, found.rows, found.tokens, found.trained_share) == (1, 0, 0, None)
    assert (found.lengths, found.packing, found.padding, found.first_trained) == (None, None, [], [])
    assert [limit.rows for limit in found.limits] == [0] * 6
    assert (found.turns, found.unknown) == (None, {"turns": "there are no rows"})
    page = show_stats(found, Screen(False, 80), {})
    assert page.splitlines()[0] == "source: 0 rows, 0 tokens"
    assert "\n  dropped     1 too_long (first:" in page


@pytest.mark.parametrize("rows", [1, 40])
def test_rows_that_are_all_equal(tmp_path: Path, rows: int) -> None:
    records = write(tmp_path / "in.jsonl", *[chat("Hi", "Hello")] * rows)
    found = check_source(tmp_path, records, template="chatml")
    assert found.lengths is not None
    length = found.lengths.max
    assert found.lengths.min == found.lengths.p50 == length
    assert [(one.first, one.last, one.rows) for one in found.length_histogram] == [(length, length, rows)]
    assert [padding.random for padding in found.padding] == [0.0, 0.0]
    assert [padding.sorted_tokens for padding in found.padding] == [0, 0]
    assert found.packing is not None
    assert found.packing.bins == -(-rows // (512 // length))


def test_rows_longer_than_the_length_of_packing(tmp_path: Path) -> None:
    records = write(tmp_path / "in.jsonl", chat("Hi", "Hello"), chat("Hi", "word " * 300))
    values = {"tokenizer": "demo", "inputs": [str(records)], "template": "chatml"}
    found = figures([measure_raw(load_config(None, values), "source")], pack_length=64)[0]
    assert found.packing is not None
    assert (found.packing.length, found.packing.bins, found.packing.rows_too_long) == (64, 1, 1)
    assert found.lengths is not None
    assert found.packing.fill == round(found.lengths.min / 64, 6)
    none = figures([measure_raw(load_config(None, values), "source")], pack_length=2)[0]
    assert none.packing is not None
    assert (none.packing.bins, none.packing.fill, none.packing.rows_too_long) == (0, None, 2)
    assert "2 rows in 0 sequences, none fits; 2 rows too long" in show_stats(none, Screen(False, 80), {})


# Prepared folders that are not what they should be, or not what others are


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_a_folder_that_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"has no manifest\.json"):
        measure_prepared(tmp_path)


def test_a_manifest_of_something_else(tmp_path: Path) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    edit_manifest(tmp_path / "out", lambda content: content.pop("counts"))
    with pytest.raises(OutputError, match="not a manifest of sftcli: Object missing required field `counts`"):
        measure_prepared(tmp_path / "out")


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_shards_that_are_not_what_the_manifest_says(tmp_path: Path, format_: str) -> None:
    out = tmp_path / "out"
    make(out, CHAT, template="chatml", format=format_)

    def more_tokens(content: dict[str, Any]) -> None:
        content["counts"]["tokens"] = 1000

    edit_manifest(out, more_tokens)
    with pytest.raises(EnvironmentFault, match=r"hold 16 rows of .* its manifest says 16 rows of 1,000;"):
        measure_prepared(out)


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_a_shard_that_cannot_be_read(tmp_path: Path, format_: str) -> None:
    out = tmp_path / "out"
    make(out, CHAT, template="chatml", format=format_)
    shard = next(out.glob("*-of-*"))
    shard.write_bytes(b"not a shard")
    with pytest.raises(EnvironmentFault, match=f"{re.escape(str(shard))}: cannot be read"):
        measure_prepared(out)
    shard.unlink()
    with pytest.raises(EnvironmentFault, match=f"{re.escape(str(shard))}: cannot be read"):
        measure_prepared(out)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("input_ids", 4096, "the id 4096 is not in its tokenizer, whose ids end at 4095"),
        ("input_ids", -1, "the id -1 is not in its tokenizer, whose ids end at 4095"),
        ("labels", 4096, "labels that are neither their token's id nor -100: 1 in one part of it"),
        ("labels", 0, "labels that are neither their token's id nor -100: 1 in one part of it"),
    ],
)
def test_ids_and_labels_that_are_not_those_of_tokens(
    tmp_path: Path, sftcli_here: Here, column: str, value: int, message: str
) -> None:
    out = tmp_path / "out"
    make(out, CHAT, template="chatml")
    [shard] = out.glob("*.parquet")
    table = pq.read_table(shard)
    rows = table[column].to_pylist()
    rows[1][0] = value
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(rows, table.schema.field(column).type)), shard)
    told = f"error: {shard}: {message}; `sftcli verify` tells more, or prepare it again\n"
    assert sftcli_here("stats", str(out)) == Ended(3, "", told)


def test_padding_is_not_counted_and_packed_rows_are(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, write(tmp_path / "in.jsonl", chat("Hi", "Hello"), chat("Hi", "Hello")), template="chatml")
    shard = next(out.glob("*.parquet"))
    mask = [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]
    labels = [[-100, 5, -100, 6, -100, -100], [-100, -100, 6, -100, 7, 7]]
    ids = [[0 if label == -100 else label for label in row] for row in labels]
    columns = {"input_ids": ids, "attention_mask": mask, "labels": labels, "seq_lengths": [[4], [3, 2, 1]]}
    pq.write_table(pa.table({name: pa.array(rows) for name, rows in columns.items()}), shard)

    def change(content: dict[str, Any]) -> None:
        content["config"] |= {"pad": "max-length", "packing": "bfd", "max_length": 6}
        content["counts"]["tokens"] = 10

    edit_manifest(out, change)
    measured = measure_prepared(out)
    assert measured.rows.lengths == {4: 1, 6: 1}
    assert measured.rows.trained == {2: 1, 3: 1}
    assert measured.rows.shares == {50: 2}
    assert measured.rows.first == {5: 1, 6: 1}
    assert measured.rows.documents == {4: 1, 3: 1, 2: 1, 1: 1}
    page = show_stats(figures([measured])[0], Screen(False, 80), {})
    assert "  packed      4 documents in these rows, 2.5 tokens each on average\n" in page


# What is shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "-"), (0.0, "0.0%"), (1e-9, "<0.1%"), (0.0005, "0.1%"), (0.1234, "12.3%"),
        (0.9994, "99.9%"), (0.99999, ">99.9%"), (1.0, "100.0%"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_all(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("part", "drawn", "plain"),
    [(0, "", ""), (1e-9, "▏", "#"), (0.5, "████", "####"), (0.55, "████▍", "####"), (1, "█" * 8, "#" * 8)],
)
def test_bars(part: float, drawn: str, plain: str) -> None:
    assert (bar(part, 8, False), bar(part, 8, True)) == (drawn, plain)


def test_tokens_show_the_white_space_at_their_ends_and_no_escapes() -> None:
    screen = Screen(False, 80)
    assert token_text(" the ", screen) == "␣the␣"
    assert token_text(" ", screen) == "␣"
    assert token_text("a\n\x1b[31m\u202e", screen) == "a\\n\\x1b[31m\\u202e"
    assert token_text("é ", Screen(False, 80, ascii_only=True)) == "\\u00e9\\x20"


SHOWN = [(("--color", color), encoding) for color in ("never", "always") for encoding in ("utf-8", "ascii")]


@pytest.mark.parametrize("columns", [20, 80, 160])
@pytest.mark.parametrize(("flags", "encoding"), SHOWN, ids=str)
@pytest.mark.parametrize("sources", [1, 2])
def test_pages_fit_the_terminal(columns: int, flags: tuple[str, ...], encoding: str, sources: int) -> None:
    files = ("chat.jsonl", "in.jsonl")[:sources]
    talks = [chat("Hi", " ".join(["word"] * words)) for words in range(1, 400)]
    environment = {"COLUMNS": str(columns), "PYTHONIOENCODING": encoding}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(CHAT, Path(folder) / "chat.jsonl")
        write(Path(folder) / "in.jsonl", *talks)
        args = ("stats", *files, "-t", "demo", "--template", "chatml", *flags)
        ended = run_sftcli(*args, cwd=Path(folder), **environment)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.isascii() == (encoding == "ascii")
    assert ("\x1b[" in ended.out) == ("always" in flags)
    bars = [line for line in SGR.sub("", ended.out).splitlines() if re.search("█|##", line)]
    assert bars
    assert max(map(width_of, bars)) <= max(columns, 50)
    if columns >= 80:
        assert max(width_of(line) for line in SGR.sub("", ended.out).splitlines()) <= columns


def test_colour_changes_no_character(sftcli_here: Here) -> None:
    for sources in (1, 2):
        args = ("stats", *[str(CHAT)] * sources, "-t", "demo", "--template", "chatml")
        plain, coloured = sftcli_here(*args).out, sftcli_here(*args, "--color", "always").out
        assert plain != coloured
        assert SGR.sub("", coloured) == plain


def test_json_is_one_object_with_the_figures_of_the_page(sftcli_here: Here) -> None:
    ended = sftcli_here("stats", str(CHAT), "-t", "demo", "--template", "chatml", "--json")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    found = json.loads(ended.out)
    assert list(found) == list(Figures.__dataclass_fields__)
    assert found | {"source": "source"} == json.loads(json.dumps(raw(CHAT, template="chatml").as_json()))


def test_two_sources_have_one_scale_and_their_differences(tmp_path: Path, sftcli_here: Here) -> None:
    short = write(tmp_path / "short.jsonl", *[chat("Hi", "Hello")] * 3, {"messages": []})
    long = write(tmp_path / "long.jsonl", chat("Hi", "word " * 600))
    args = ("stats", str(short), str(long), "-t", "demo", "--template", "chatml", "--json")
    found = json.loads(sftcli_here(*args).out)
    left, right = found["sources"]
    ranges = [[(one["first"], one["last"]) for one in source["length_histogram"]] for source in (left, right)]
    assert ranges[0] == ranges[1]
    assert left["packing"]["length"] == right["packing"]["length"] == 1024
    change = found["difference"]
    assert change["rows"] == -2
    assert change["tokens"] == right["tokens"] - left["tokens"]
    assert change["lengths.p50"] == right["lengths"]["p50"] - left["lengths"]["p50"]
    assert change["limits.512.share"] == 1.0
    assert change["rejected.empty_messages.rows"] == -1
    assert change["packing.bins"] == 0
    assert "trained_share" in change
    assert "empty_thinking_rows" in change


def test_two_sources_say_how_they_were_made(tmp_path: Path, sftcli_here: Here) -> None:
    make(tmp_path / "a", CHAT, template="chatml")
    options = {"max_length": 100, "train_on": "last", "train_on_eos": "none"}
    make(tmp_path / "b", CHAT, template="chatml", add_special_tokens=["<|new|>"], **options)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    lines = sftcli_here("stats", a, b).out.split("\n\n")[0].splitlines()
    assert lines[:2] == [f"A  {a}", "   template chatml, messages records, tokenizer demo"]
    assert lines[2] == f"B  {b}"
    assert " ".join(line.strip() for line in lines[3:5]) == (
        "template chatml, messages records, tokenizer demo, at most 100 tokens a row, --train-on last, "
        "--train-on-eos none"
    )
    assert " ".join(lines[5:]) == (
        "The tokenizers differ: a token of A is not one of B, and lengths are in tokens of each."
    )


def test_first_tokens_of_two_tokenizers_are_told_apart_by_their_text(
    tmp_path: Path, sftcli_here: Here
) -> None:
    answers = ("Hello", "Hello", "Hello", "is", "is", "The")
    records = write(tmp_path / "in.jsonl", *[chat("a", answer) for answer in answers])
    small = chatml(tmp_path / "small")
    make(tmp_path / "a", records, template="chatml")
    make(tmp_path / "b", records, template="chatml", tokenizer=small.name)
    ids = [
        [(token.text, token.id) for token in prepared(tmp_path / name).first_trained] for name in ("a", "b")
    ]
    assert not set(ids[0]) & set(ids[1])  # no text has the same id in both
    page = sftcli_here("stats", str(tmp_path / "a"), str(tmp_path / "b")).out
    assert [line.split() for line in page.split("First trained tokens")[1].splitlines()[1:]] == [
        ["token", "A", "B"],
        ["Hello", "50.0%", "50.0%"],
        ["is", "33.3%", "33.3%"],
        ["T", "0.0%", "16.7%"],
        ["The", "16.7%", "0.0%"],
    ]


@pytest.mark.parametrize("value", ["", "x", "8,,32", "0", "8,-1", "99999999999", "8.5"])
@pytest.mark.parametrize("option", ["--limits", "--batch-size"])
def test_numbers_that_are_none(sftcli_here: Here, option: str, value: str) -> None:
    ended = sftcli_here("stats", str(CHAT), "-t", "demo", option, value)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.err
    assert repr(value) in ended.err


def test_a_folder_beside_raw_data(tmp_path: Path, sftcli_here: Here) -> None:
    out = tmp_path / "out"
    make(out, CHAT, template="chatml")
    args = ("stats", str(out), str(CHAT), "-t", "demo", "--template", "chatml", "--json")
    found = json.loads(sftcli_here(*args).out)
    assert [source["kind"] for source in found["sources"]] == ["prepared", "raw"]
    assert {change for change in found["difference"].values() if change is not None} == {0}
    unknown = {key for key, change in found["difference"].items() if change is None}
    assert {key.partition(".")[0] for key in unknown} == {"turns", "empty_thinking_rows"}


def test_a_config_names_the_inputs(tmp_path: Path, sftcli_here: Here) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(f"inputs: [{CHAT}]\ntokenizer: demo\ntemplate: chatml\n")
    by_config = json.loads(sftcli_here("stats", "--config", str(config), "--json").out)
    by_flags = json.loads(sftcli_here("stats", str(CHAT), "-t", "demo", "--template", "chatml", "--json").out)
    assert by_config == by_flags


def test_the_bar_is_for_terminals_unless_it_is_asked_for(tmp_path: Path, sftcli_here: Here) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    for source in ([str(tmp_path / "out")], [str(CHAT), "-t", "demo", "--template", "chatml"]):
        assert sftcli_here("stats", *source).err == ""
        assert "stats:" in sftcli_here("stats", *source, "--progress").err


def test_help_loads_no_library() -> None:
    assert not imported("stats", "--help") & {*HEAVY, "matplotlib"}


def test_a_prepared_folder_needs_no_large_library(tmp_path: Path) -> None:
    make(tmp_path / "out", CHAT, template="chatml")
    assert imported("stats", str(tmp_path / "out")) & {*HEAVY, "matplotlib"} == {
        *("numpy", "pyarrow", "tokenizers")
    }


# Pictures


def plotted(sftcli_here: Here, path: Path, *sources: Path) -> bytes:
    ended = sftcli_here(
        "stats", *map(str, sources), "-t", "demo", "--template", "chatml", "--plot", str(path)
    )
    assert (ended.code, ended.err) == (0, f"plot: {one_line(str(path))}\n")
    return path.read_bytes()


def test_a_picture_is_what_its_name_says(tmp_path: Path, sftcli_here: Here) -> None:
    for sources in ([CHAT], [CHAT, CHAT]):
        raw_png = plotted(sftcli_here, tmp_path / "a.png", *sources)
        assert raw_png.startswith(b"\x89PNG\r\n\x1a\n")
        size = (int.from_bytes(raw_png[16:20]), int.from_bytes(raw_png[20:24]))
        assert size == (1200, 960)
        svg = plotted(sftcli_here, tmp_path / "a.SVG", *sources).decode()
        assert svg.startswith("<?xml")
        assert svg.rstrip().endswith("</svg>")
        assert "<script" not in svg
        page = plotted(sftcli_here, tmp_path / "a.html", *sources).decode()
        assert page.startswith("<!DOCTYPE html>")
        assert page.count("<svg") == 1
        assert "First trained tokens" in page
        # Nothing is fetched: all that is linked to lies in the page.
        assert set(re.findall(r'(?:href|src)="([^#])', page)) == set()
        assert "url(http" not in page


def test_a_picture_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    shutil.copy(CHAT, tmp_path / "in.jsonl")
    for name in ("1.svg", "2.svg", "1.png", "2.png"):
        args = ("stats", "in.jsonl", "-t", "demo", "--template", "chatml", "--plot", name)
        assert run_sftcli(*args, cwd=tmp_path, PYTHONHASHSEED=name[0]).code == 0
    for kind in ("svg", "png"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


@pytest.mark.parametrize("several", [1, 2])
@pytest.mark.parametrize(
    "lengths",
    [
        {100: 50, 110: 40, 112: 5, 114: 4, 116: 1},
        {40: 500, 386: 400, 433: 50, 538: 40, 615: 10},
        {7: 3},
        {10: 90, 4_000: 5, 16_383: 5},
    ],
)
def test_no_line_of_a_picture_crosses_the_name_of_another(lengths: dict[int, int], several: int) -> None:
    from matplotlib.figure import Figure

    sources = [lengths, {value + 60: rows for value, rows in lengths.items()}][:several]
    figure = Figure(figsize=(8, 6.4), dpi=100)
    axes = figure.subplots()
    draw_lengths(axes, [Distribution.of(Counter(one)) for one in sources], of_lengths(*sources))
    figure.draw_without_rendering()
    whole = axes.get_window_extent()
    names = [text for text in axes.texts if "%" in text.get_text()]
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(names) == len(lines) == 4
    boxes = [name.get_window_extent() for name in names]
    for box, other in combinations(boxes, 2):
        assert not box.overlaps(other)
    for box in boxes:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        for line in lines:
            x, top = axes.transData.transform((line.get_xdata()[0], 0))[0], line.get_ydata()[1]
            assert not (box.x0 < x < box.x1 and whole.y0 + top * whole.height > box.y0), line


@pytest.mark.parametrize("name", ["$x_{$", "<script>alert(1)<", "データ", "\x1b[31m", "a" * 200, "\\"])
def test_a_name_is_only_a_name(tmp_path: Path, sftcli_here: Here, name: str) -> None:
    source = tmp_path / f"{name}.jsonl"
    shutil.copy(CHAT, source)
    page = plotted(sftcli_here, tmp_path / "out.html", source).decode()
    assert "<script" not in page
    assert "\x1b" not in page
    for kind in ("png", "svg"):
        plotted(sftcli_here, tmp_path / f"out.{kind}", source, CHAT)


def test_a_picture_of_no_rows_and_of_one(tmp_path: Path, sftcli_here: Here) -> None:
    none = write(tmp_path / "none.jsonl", {"messages": []}, {"messages": []})
    one = write(tmp_path / "one.jsonl", chat("Hi", "Hello"))
    for sources in ([none], [one], [none, one], [none, none]):
        plotted(sftcli_here, tmp_path / "out.svg", *sources)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("out.gif", "the name ends in none of .png, .svg, .html, which say what to draw"),
        ("out", "the name ends in none of .png, .svg, .html, which say what to draw"),
        ("no/out.png", "the folder no does not exist; make it, or name another"),
    ],
)
def test_a_picture_that_cannot_be_made_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here, path: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = sftcli_here("stats", "no-such-file", "--plot", path)
    assert ended == Ended(2, "", f"error: --plot {path}: {message}\n")


def test_without_the_library_pictures_need(monkeypatch: pytest.MonkeyPatch, sftcli_here: Here) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    ended = sftcli_here("stats", str(CHAT), "-t", "demo", "--plot", "out.png")
    assert ended == Ended(2, "", "error: --plot needs matplotlib: pip install 'sftcli[plot]'\n")


def test_a_picture_that_cannot_be_written(tmp_path: Path, sftcli_here: Here) -> None:
    path = tmp_path / "out.svg"
    path.symlink_to(tmp_path / "missing" / "out.svg")
    ended = sftcli_here("stats", str(CHAT), "-t", "demo", "--template", "chatml", "--plot", str(path))
    assert ended.code == 3
    assert ended.err == f"error: {path}: cannot be written: No such file or directory\n"


# Pages


def test_every_key_of_the_json_is_described() -> None:
    page = (CONFIGS.parent / "docs" / "stats-json.md").read_text(encoding="utf-8")
    described = {}
    for section in page.split("\n## ")[1:]:
        title, _, rest = section.partition("\n")
        described[title] = re.findall(r"^\| `(\w+)` \|", rest, re.MULTILINE)
    objects = {
        **{
            "The object": Figures,
            "A layout": Layout,
            "A reason": Reason,
            "A spread": Spread,
            "A limit": Limit,
        },
        **{"A padding": Padding, "A packing": Packing, "Turns": TurnFigures, "A first token": FirstToken},
        "A bin": Bin,
    }
    assert described == {title: [*type_.__dataclass_fields__] for title, type_ in objects.items()}


def test_the_readme_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sftcli_here: Here
) -> None:
    make(tmp_path / "demo", PROBLEMS, template=str(CONFIGS / "templates" / "qa.yaml"))
    monkeypatch.chdir(tmp_path)
    sections = sftcli_here("stats", "demo").out.rstrip("\n").split("\n\n")
    headings = [section.split("  ")[0] for section in sections[1:]]
    assert headings == ["Per row", "Lengths", "Limits", "Padding", "Packing", "First trained tokens"]
    shown = "\n\n".join(sections[place] for place in (1, 2, 4, 5))
    assert f"```\n{shown}\n```" in (CONFIGS.parent / "README.md").read_text(encoding="utf-8")

"""The benchmark: what it counts, compares and prints."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import EXAMPLES

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "tests" / "bench"
STAT = """\
cpu  300 0 100 600 0 0 0 0 0 0
cpu0 200 1 50 500 20 3 4 5 9 9
cpu1 100 0 50 100 0 0 0 0 0 0
intr 7 cpu0
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """The benchmark's modules; what they keep is kept in the test's folder."""
    monkeypatch.syspath_prepend(str(BENCH))
    import agree
    import bench
    import contenders
    import cores
    import corpus
    import measure
    import tables

    monkeypatch.setattr(corpus, "kept_folder", lambda: tmp_path)
    return SimpleNamespace(
        agree=agree,
        bench=bench,
        contenders=contenders,
        cores=cores,
        corpus=corpus,
        measure=measure,
        tables=tables,
    )


def test_the_kernels_counters_are_read_for_the_processors_that_are_ours(bench: SimpleNamespace) -> None:
    assert bench.cores.times_in(STAT, {0}) == {0: (200 + 1 + 50 + 3 + 4, 258 + 500 + 20 + 5)}
    later = {0: (268, 803), 1: (500, 500)}
    assert bench.cores.shares({0: (258, 783)}, later) == {0: 0.5}
    assert bench.cores.shares({0: (258, 800), 2: (0, 0)}, later) == {0: 1}


def test_bars_show_the_means_of_what_does_not_fit(bench: SimpleNamespace) -> None:
    assert bench.cores.bars([0, 0.1, 0.5, 1]) == " ▁▄█"
    assert bench.cores.bars([0, 1, 1, 1, 0, 0], width=3) == "▄█ "
    assert bench.cores.bars([]) == ""


def test_a_run_is_measured_with_all_its_processes(bench: SimpleNamespace, tmp_path: Path) -> None:
    held = "import time; held = bytearray(b'x') * 60_000_000; time.sleep(1.5)"
    begun = f"subprocess.Popen([sys.executable, '-c', {held!r}])"
    both = f"import subprocess, sys; [child.wait() for child in [{begun}, {begun}]]"
    usage = bench.measure.run([sys.executable, "-c", both], tmp_path, os.environ, tmp_path / "log")
    assert usage.seconds > 1.5
    assert usage.peak_bytes > 120_000_000
    if Path("/proc/stat").exists():
        assert len(usage.cores) == len(os.sched_getaffinity(0))
        assert all(
            len(shares) >= 5 and 0 <= min(shares) <= max(shares) <= 1 for shares in usage.cores.values()
        )


def test_a_command_that_fails_is_an_error_with_what_it_said(bench: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(bench.measure.CommandFailedError, match=r"exit code 3\nhello"):
        bench.measure.run(
            [sys.executable, "-c", "print('hello'); exit(3)"], tmp_path, os.environ, tmp_path / "log"
        )


def test_what_a_contender_tells_is_found_among_what_libraries_print(bench: SimpleNamespace) -> None:
    log = 'Map: 100%\n{"seconds": 1.5, "cpu_seconds": 2.5}\n  warning\n'
    assert bench.bench.told_seconds(log) == {"seconds": 1.5, "cpu_seconds": 2.5}
    with pytest.raises(bench.measure.CommandFailedError, match=r"told no seconds:\nKilled"):
        bench.bench.told_seconds("Killed\n")


def test_a_corpus_is_cut_or_repeated_to_its_size(bench: SimpleNamespace, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    record = b'"' + b"x" * 299_997 + b'"'
    base.write_bytes(b"\n".join([record, b"", b"1", record]))
    assert bench.corpus.of_size(base, 1).plain.read_bytes() == b"\n".join(
        [record, b"1", record, record, b"1", record, b""]
    )
    cut = bench.corpus.of_size(base, 1)
    assert (cut.name, cut.step, len(list(cut.lines()))) == ("1 MB", 1, 6)


def test_a_corpus_has_a_compressed_form_and_a_sample(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.corpus, "SAMPLE", 80)
    plain = tmp_path / "data.jsonl"
    plain.write_bytes(b"".join(b'{"n": %d, "x": 12345}\n' % n for n in range(10)))
    corpus = bench.corpus.Corpus(plain)
    assert gzip.decompress(corpus.gz.read_bytes()) == plain.read_bytes()
    assert corpus.step == 3
    assert [json.loads(line)["n"] for line in corpus.sample.read_text().splitlines()] == [0, 3, 6, 9]
    plain.write_bytes(b"{}\n")
    os.utime(plain, ns=(1 << 62, 1 << 62))
    assert bench.corpus.Corpus(plain).sample.read_bytes() == b"{}\n"


def written(path: Path, *rows: tuple[list[int], list[int]]) -> Path:
    ids, labels = ([row[at] for row in rows] for at in (0, 1))
    pq.write_table(pa.table({"input_ids": ids, "labels": labels}), path)
    return path


def agreement(bench: SimpleNamespace, folder: Path, ours: Any, theirs: Any, step: int = 1) -> Any:
    corpus = folder / "corpus.jsonl"
    records = (EXAMPLES / "alpaca.jsonl").read_text().splitlines(keepends=True)
    corpus.write_text("".join(records[: len(theirs)]))
    outputs = [
        bench.agree.read_output(written(folder / f"{name}.parquet", *rows))
        for name, rows in (("ours", ours), ("theirs", theirs))
    ]
    return bench.agree.compare(corpus, EXAMPLES.parent / "demo", *outputs, step)


ROW = ([5, 6, 7, 8], [-100, -100, 7, 8])


def test_equal_rows_agree_and_one_other_label_does_not(bench: SimpleNamespace, tmp_path: Path) -> None:
    assert agreement(bench, tmp_path, [ROW, ROW], [ROW, ROW]).equal == 2
    other = ([5, 6, 7, 8], [-100, 6, 7, 8])
    found = agreement(bench, tmp_path, [ROW, other, ROW], [ROW, ROW, ROW])
    assert (found.equal, found.differing) == (2, {"unexplained": 1})
    assert found.first == "row 1, unexplained; labels[1] is 6, by hand -100"


def test_a_baseline_that_trains_what_follows_the_terminator_is_explained(
    bench: SimpleNamespace, tmp_path: Path
) -> None:
    ours = ([5, 6, 7, 8], [-100, -100, 7, -100])
    assert agreement(bench, tmp_path, [ours], [ROW]).differing == {bench.agree.TAIL: 1}
    # The other way round, and where more than the end is masked, it is not.
    assert agreement(bench, tmp_path, [ROW], [ours]).differing == {"unexplained": 1}
    masked = ([5, 6, 7, 8], [-100, -100, -100, 8])
    assert agreement(bench, tmp_path, [masked], [ROW]).differing == {"unexplained": 1}


def test_a_sample_is_compared_with_its_own_rows(bench: SimpleNamespace, tmp_path: Path) -> None:
    rows = [([n], [n]) for n in range(7)]
    assert agreement(bench, tmp_path, rows[::3], rows, step=3).equal == 3
    found = agreement(bench, tmp_path, [rows[0], ([9], [9]), rows[6]], rows, step=3)
    assert (found.equal, found.first) == (2, "row 1, unexplained; input_ids[0] is 9, by hand 3")


def test_the_table_is_of_medians_and_rates(bench: SimpleNamespace, tmp_path: Path) -> None:
    plain = tmp_path / "data.jsonl"
    plain.write_bytes(b"x" * 9_999_999 + b"\n")
    corpus = bench.corpus.Corpus(plain)
    everyone = {c.key: c for c in bench.contenders.contenders(corpus, "chatml", 2, None)}
    took = {"role": [(1, 1.5), (9, 9), (2, 2.5)], "by-hand": [(20, 30)], "trl": [(40, 50)]}
    took |= {"encode": [(0.6, 0.5)], "write-parquet": [(0.4, 0.3)]}
    for key, runs in took.items():
        everyone[key].runs = [bench.measure.Usage(*run, 123_456_789) for run in runs]
    race = bench.tables.Race(corpus, list(everyone.values()), 1)
    race.outputs = {
        key: bench.agree.Output([], rows=1, tokens=4_000_000) for key in ("role", "by-hand", "trl")
    }
    over = f"{2 / (0.8 / bench.tables.cores()):.2f}"
    assert bench.tables.table_rows(race) == [
        "| **10 MB** |  |  |  |  |  |  |  |  |  |",
        f"| sftcli, chatml template, Parquet | 1 | 2.00 | 2.50 | 5.0 | 2.00 | 123 | 10.0 | 20.0 | {over} |",
        "| by hand: datasets.map | 2 | 20.00 | 30.00 | 0.5 | 0.20 | 123 | 1.0 | 2.0 |  |",
        "| TRL: SFTTrainer's preparation | 2 | 40.00 | 50.00 | 0.2 | 0.10 | 123 | 0.5 | 1.0 |  |",
        "| fastokens on the rendered texts, one core | 1 | 0.60 | 0.50 | 16.7 | 6.67 |  |  |  |  |",
        "| pyarrow: the ready columns to Parquet | 1 | 0.40 | 0.30 | 25.0 | 10.00 |  |  |  |  |",
    ]
    assert race.is_as_it_should_be
    race.outputs["trl"].rows = 2
    assert not race.is_as_it_should_be


def test_contenders_that_wrote_the_same_are_told_together(bench: SimpleNamespace, tmp_path: Path) -> None:
    plain = tmp_path / "data.jsonl"
    plain.write_text("{}\n")
    race = bench.tables.Race(bench.corpus.Corpus(plain), [], 3)
    race.outputs = {key: bench.agree.Output([], rows=3) for key in ("role", "arrow", "trl", "jinja")}
    odd = bench.agree.Agreement(equal=2, differing=Counter(unexplained=1), first="row 1, unexplained; ...")
    race.agreements = dict.fromkeys(("role", "arrow", "jinja"), bench.agree.Agreement(equal=3)) | {"trl": odd}
    assert bench.tables.verdict(race) == [
        "- each wrote one row for each of its records",
        "- role, arrow, jinja: all 3 rows equal those made by hand, ids and labels",
        "- trl: 2 of 3 rows equal those made by hand, ids and labels\n"
        "  - 1 differ: unexplained\n  - for example row 1, unexplained; ...",
    ]
    assert not race.is_as_it_should_be


def test_the_result_goes_between_the_marks_of_a_page(bench: SimpleNamespace, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.md"
    bench.bench.write("one\n", page)
    assert page.read_text() == "one\n"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    for _ in range(2):
        bench.bench.write("two\n", page)
        assert page.read_text() == "before\n<!-- bench -->\n\ntwo\n\n<!-- /bench -->\nafter\n"


def test_the_whole_of_it_on_bundled_data(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs datasets, of the extra `dev`")
    page, figures = tmp_path / "page.md", tmp_path / "figures.json"
    skipped = [word for key in ("prompt", "jinja", "trl", "axolotl") for word in ("--skip", key)]
    data = ["--corpus", str(EXAMPLES / "alpaca.jsonl"), "--tokenizer", str(EXAMPLES.parent / "demo")]
    to = ["--runs", "1", "--processes", "1", "--output", str(page), "--json", str(figures)]
    # Not in the test's folder: its path is too long for the sockets of `datasets`.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(BENCH / "bench.py"), *data, *skipped, *to],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == page.read_text()
    records = len((EXAMPLES / "alpaca.jsonl").read_text().splitlines())
    [race] = json.loads(figures.read_text())
    keys = ["role", "arrow", "gz", "by-hand", "encode", "encode-all", "write-parquet", "write-arrow"]
    assert [contender["key"] for contender in race["contenders"]] == keys
    rows = {one["key"]: (one["rows"], one["tokens"]) for one in race["contenders"] if "rows" in one}
    assert rows == dict.fromkeys(["role", "arrow", "gz", "by-hand"], (records, rows["role"][1]))
    # ChatML ends a turn in a line break that the model is not asked for.
    explained = {"the baseline trains what follows the terminator": records}
    assert [found["differing"] for found in race["agreements"].values()] == [explained] * 3

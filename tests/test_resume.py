"""A run that was stopped goes on with what is whole of its work, and with nothing else."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended, Here, manifest, run_sftcli, tree, write

from sftcli.config import load_config
from sftcli.errors import EnvironmentFault
from sftcli.resume import asked_of
from sftcli.sources import Sources

RECORDS = [{"prompt": f"What is {n} + {n % 7}?", "completion": f"{n + n % 7}."} for n in range(60)]
OUT, STAGING = Path("out"), Path("out/.staging")
COMMON = ("-t", "demo", "--template", "plain", "--quiet")
MAKE = ("prepare", "a.jsonl", "b.jsonl", "c.jsonl", *COMMON, "-o", "out")


@pytest.fixture(autouse=True)
def _in_folder(own_folder: None) -> None:
    for number, name in enumerate("abc"):
        write(Path(f"{name}.jsonl"), *RECORDS[number * 20 : number * 20 + 20])


@pytest.fixture
def stopped() -> None:
    """Two of three splits are done, and the third one's shard is written."""
    ended = run_sftcli(*MAKE, SFTCLI_FAILPOINTS="split.written@3=stop")
    assert (ended.code, ended.err) == (143, f"terminated; resume with: sftcli {' '.join(MAKE)}\n")
    assert sorted(path.name for path in (STAGING / "done").iterdir()) == ["00000.json", "00001.json"]


def fresh(here: Here, *args: str) -> dict[str, bytes]:
    """What the run makes without what was before."""
    made = [*(args or MAKE)]
    made[made.index("out")] = "fresh"
    assert here(*made) == Ended(0, "", "")
    return tree(Path("fresh"))


def facts_of(path: Path) -> tuple[int, int]:
    """What a file has that was made anew has another of."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def shard(number: int) -> str:
    return f"train-{number:05d}-of-00003.parquet"


def staged_shards() -> list[tuple[int, int]]:
    return [facts_of(STAGING / "new" / shard(number)) for number in (0, 1)]


# What is kept


def test_what_is_done_is_not_done_again(stopped: None, sftcli_here: Here) -> None:
    before = staged_shards()
    assert sftcli_here(*MAKE) == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here)
    assert [facts_of(OUT / shard(number)) for number in (0, 1)] == before


@pytest.mark.parametrize("over", ["an old dataset", "nothing"])
def test_what_waits_for_a_second_pass_is_kept(over: str, sftcli_here: Here) -> None:
    make = (*MAKE, "--shuffle", "--seed", "3")
    if over == "an old dataset":
        assert sftcli_here(*MAKE).code == 0
        make = (*make, "--overwrite")
    assert run_sftcli(*make, SFTCLI_FAILPOINTS="split.done@2=stop").code == 143
    before = facts_of(STAGING / "aside/00000/ids")
    assert run_sftcli(*make, SFTCLI_FAILPOINTS="commit.staged=kill").code == -9
    assert facts_of(STAGING / "aside/00000/ids") == before
    assert sftcli_here(*make) == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here, *make)


def test_bad_records_end_a_run_and_a_quarantine_goes_on_with_it(sftcli_here: Here) -> None:
    write(Path("b.jsonl"), *RECORDS[:3], {"prompt": "no answer"}, *RECORDS[3:6])
    ended = sftcli_here(*MAKE)
    assert ended.code == 1
    before = [facts_of(STAGING / "new" / shard(number)) for number in (0, 2)]
    assert sftcli_here("inspect", "out", "--row", "0").code == 3
    make = (*MAKE, "--on-error", "quarantine")
    assert sftcli_here(*make) == Ended(0, "", "")
    assert [facts_of(OUT / shard(number)) for number in (0, 2)] == before
    assert tree(OUT) == fresh(sftcli_here, *make)
    assert manifest(OUT)["counts"]["rejected"] == {"missing_field": 1}


def test_of_mended_inputs_only_their_own_splits_are_done_again(sftcli_here: Here) -> None:
    write(Path("b.jsonl"), *RECORDS[:3], {"prompt": "no answer"}, *RECORDS[3:6])
    assert sftcli_here(*MAKE).code == 1
    before = [facts_of(STAGING / "new" / shard(number)) for number in (0, 2)]
    write(Path("b.jsonl"), *RECORDS[:6])
    assert sftcli_here(*MAKE) == Ended(0, "", "")
    assert [facts_of(OUT / shard(number)) for number in (0, 2)] == before
    assert tree(OUT) == fresh(sftcli_here)


def test_bad_records_of_a_mended_input_are_forgotten(sftcli_here: Here) -> None:
    """Those of a split that is done again without any do not come from the run before."""
    write(Path("b.jsonl"), *RECORDS[:3], {"prompt": "no answer"}, {}, {}, *RECORDS[3:6])
    write(Path("c.jsonl"), {"prompt": "nor here"}, *RECORDS[40:])
    make = (*MAKE, "--on-error", "quarantine", "--max-bad", "2")
    assert sftcli_here(*make).code == 1
    assert (STAGING / "done/00001.rejects").exists()
    write(Path("b.jsonl"), *RECORDS[:6])
    assert sftcli_here(*make) == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here, *make)
    assert [json.loads(line)["file"] for line in (OUT / "rejects.jsonl").read_text().splitlines()] == [
        "c.jsonl"
    ]


def test_an_input_that_changed_during_the_run_is_read_again_by_the_next(
    stopped: None, sftcli_here: Here
) -> None:
    """Of a run that was stopped for that: see tests/faults. One that was stopped otherwise is refused."""
    write(Path("a.jsonl"), *RECORDS[:5])
    ended = sftcli_here(*MAKE)
    assert (ended.code, "the input a.jsonl has changed" in ended.err) == (2, True)


def test_an_input_that_grows_between_its_plan_and_the_run_is_noticed() -> None:
    sources = Sources(load_config(None, {"inputs": ["a.jsonl"], "tokenizer": "demo", "template": "plain"}))
    assert asked_of(sources)["splits"] == 1
    with Path("a.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(EnvironmentFault, match=r"a\.jsonl: changed while it was read; nothing was written"):
        asked_of(sources)


# What is refused


def _say(key: str, value: Any) -> None:
    """Let the run before have been asked for something else."""
    run = json.loads((STAGING / "run.json").read_text())
    run["asked"][key] = value
    (STAGING / "run.json").write_text(json.dumps(run))


def _tokenizer(*_: object) -> None:
    run = json.loads((STAGING / "run.json").read_text())["asked"]
    assert len(run["tokenizer"]) == 64
    _say("tokenizer", hashlib.sha256(b"others").hexdigest())


def _template_file(*_: object) -> None:
    _say("templates", {"a.jsonl": "0" * 64})


OTHERS: dict[str, tuple[Callable[[], object], tuple[str, ...], str]] = {
    "template": (lambda: None, ("--template", "alpaca"), "template was plain, and is alpaca"),
    "the template's file": (_template_file, (), "the template, or what is read of the records, has changed"),
    "tokenizer": (lambda: None, ("-t", "own"), "tokenizer was demo, and is own"),
    "the tokenizer's files": (_tokenizer, (), "the files of the tokenizer have changed"),
    "max length": (lambda: None, ("--max-length", "64"), "max_length was not given, and is 64"),
    "version": (lambda: _say("sftcli", "0.0.9"), (), "sftcli was 0.0.9, now "),
    "library": (lambda: _say("libraries", {"pyarrow": "1.0"}), (), "libraries was "),
    "an input that changed": (lambda: write(Path("b.jsonl"), *RECORDS), (), "the input b.jsonl has changed"),
    "an input more": (
        lambda: write(Path("d.jsonl"), *RECORDS),
        ("d.jsonl",),
        "the input d.jsonl is new",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_the_work_of_another_run_is_not_gone_on_with(case: str, stopped: None, sftcli_here: Here) -> None:
    change, options, told = OTHERS[case]
    assert sftcli_here("prepare", "a.jsonl", *COMMON, "-o", "own-made").code == 0
    shutil.copytree("own-made/tokenizer", "own")
    change()
    before = tree(STAGING / "new")
    ended = sftcli_here(*MAKE, *options)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: out: holds the unfinished work of another run: ")
    assert told in ended.err
    finish = f"Finish that one with: sftcli {' '.join(MAKE)}\n"
    assert (finish in ended.err) == ("input" not in case)  # that is not to be had any more
    assert tree(STAGING / "new") == before


def test_an_input_less_is_another_run(stopped: None, sftcli_here: Here) -> None:
    ended = sftcli_here("prepare", "a.jsonl", "b.jsonl", *COMMON, "-o", "out")
    assert ended.code == 2
    assert "the input c.jsonl is not read any more" in ended.err


def test_the_work_is_thrown_away_where_that_is_asked_for(stopped: None, sftcli_here: Here) -> None:
    before = staged_shards()
    make = (*MAKE, "--no-resume", "--max-length", "64")
    assert sftcli_here(*make) == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here, *make)
    assert not {facts_of(OUT / shard(number)) for number in (0, 1)} & set(before)


def test_there_must_be_something_to_resume_where_that_is_asked_for(sftcli_here: Here) -> None:
    ended = sftcli_here(*MAKE, "--resume")
    assert ended == Ended(2, "", "error: out: holds no unfinished work to resume; leave --resume out\n")
    assert not OUT.exists()
    assert sftcli_here(*MAKE).code == 0
    assert "already holds a dataset" in sftcli_here(*MAKE, "--resume").err
    assert "holds no unfinished work" in sftcli_here(*MAKE, "--resume", "--overwrite").err


def test_resume_goes_on(stopped: None, sftcli_here: Here) -> None:
    before = staged_shards()
    assert sftcli_here(*MAKE, "--resume") == Ended(0, "", "")
    assert [facts_of(OUT / shard(number)) for number in (0, 1)] == before


# Work that is not what it was


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def count_otherwise(path: Path) -> None:
    """As good JSON as before."""
    raw = path.read_bytes()
    assert b'"lines":20' in raw
    path.write_bytes(raw.replace(b'"lines":20', b'"lines":21'))


def put(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text)


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a done file cut": ("done/00000.json", cut),
    "a done file empty": ("done/00000.json", empty),
    "a done file with a bit turned": ("done/00000.json", flip),
    "a done file with another count": ("done/00000.json", count_otherwise),
    "a done file of another split": (
        "done/00001.json",
        lambda path: shutil.copy("out/.staging/done/00000.json", path),
    ),
    "a done file of no split": (
        "done/00007.json",
        lambda path: shutil.copy("out/.staging/done/00000.json", path),
    ),
    "a done file that is a list": ("done/00000.json", put("[1, 2]")),
    "a done file gone": ("done/00000.json", Path.unlink),
    "a shard cut": (f"new/{shard(0)}", cut),
    "a shard empty": (f"new/{shard(1)}", empty),
    "a shard with a bit turned": (f"new/{shard(0)}", flip),
    "a shard gone": (f"new/{shard(0)}", Path.unlink),
    "a note that is no JSON": ("run.json", put("{")),
    "a note empty": ("run.json", empty),
    "a note of another type": ("run.json", put('["a"]')),
    "a note of other types inside": ("run.json", put('{"command": 3, "asked": 7, "ended_by": []}')),
    "a note nested deep": ("run.json", put("[" * 100_000)),
    "files of nobody": ("new/strange.parquet", put("mine")),
    "a folder of nobody": ("new/tokenizer/strange/file", put("mine")),
    "a half-written note": ("run.part", put("{")),
    "a manifest cut": ("new/manifest.json", put('{"files": {"')),
    "a manifest of nothing": ("new/manifest.json", put('{"files": {}}')),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_work_is_done_again(case: str, stopped: None, sftcli_here: Here) -> None:
    name, damage = DAMAGE[case]
    path = STAGING / name
    path.parent.mkdir(parents=True, exist_ok=True)
    damage(path)
    ended = sftcli_here(*MAKE)
    if "types inside" in case:  # it may be of any other run
        assert ended.code == 2
        ended = sftcli_here(*MAKE, "--no-resume")
    assert ended == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here)


@pytest.mark.parametrize("damage", [cut, empty, flip, Path.unlink])
def test_damaged_bad_records_are_found_again(damage: Callable[[Path], object], sftcli_here: Here) -> None:
    write(Path("a.jsonl"), *RECORDS[:3], {"prompt": "no answer"}, *RECORDS[3:6])
    make = (*MAKE, "--on-error", "quarantine")
    assert run_sftcli(*make, SFTCLI_FAILPOINTS="split.done@2=kill").code == -9
    damage(STAGING / "done/00000.rejects")
    assert sftcli_here(*make) == Ended(0, "", "")
    assert tree(OUT) == fresh(sftcli_here, *make)


# A staging folder of a stranger


@pytest.fixture
def elsewhere() -> dict[str, bytes]:
    """A folder that is none of the run's business, and what is in it."""
    folder = Path("elsewhere")
    (folder / "old").mkdir(parents=True)
    for name in ("mine", "old/mine", "README.md", "train-00000-of-00003.parquet", "manifest.json"):
        (folder / name).write_text(f"mine: {name}")
    return tree(folder)


def _seal(done: dict[str, Any]) -> bytes:
    raw = json.dumps(done, separators=(",", ":")).encode()
    return b'{"sha256":"%s","done":%s}' % (hashlib.sha256(raw).hexdigest().encode(), raw)


def _done_with(change: Callable[[dict[str, Any]], object]) -> None:
    """A done file as its author likes it, checksum and all."""
    path = STAGING / "done/00000.json"
    sealed = json.loads(path.read_bytes())
    change(sealed["done"])
    path.write_bytes(_seal(sealed["done"]))


def _lists(name: str) -> None:
    raw = Path("elsewhere/mine").read_bytes()
    facts = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    _done_with(lambda done: done["files"].update({name: facts}))


def _link(name: str, target: str) -> None:
    path = STAGING / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(Path(target).absolute())


def _old_manifest(*names: str) -> None:
    """A commit that seems to have been stopped in the middle, of an old dataset with such files."""
    (STAGING / "old/sub").mkdir(parents=True)
    (STAGING / "old/evil").write_text("evil")
    (STAGING / "old/manifest.json").write_text(
        json.dumps({"files": {name: {} for name in names}, "shards": []})
    )


HOSTILE: dict[str, Callable[[], object]] = {
    "a done file that lists ../": lambda: _lists("new/../../../elsewhere/mine"),
    "a done file that lists what is above": lambda: _lists("../../elsewhere/mine"),
    "a done file that lists an absolute name": lambda: _lists(str(Path("elsewhere/mine").absolute())),
    "a done file that lists nothing": lambda: _done_with(lambda done: done["files"].clear()),
    "a done file without shards": lambda: _done_with(lambda done: done["shards"].clear()),
    "a done file with huge numbers": lambda: _done_with(lambda done: done["given"].update(lengths=[10**30])),
    "a done file that is a link": lambda: _link("done/00000.json", "elsewhere/mine"),
    "done is a link": lambda: _link("done", "elsewhere"),
    "new is a link": lambda: _link("new", "elsewhere"),
    "aside is a link": lambda: _link("aside", "elsewhere"),
    "old is a link": lambda: _link("old", "elsewhere"),
    "a shard is a link": lambda: _link(f"new/{shard(2)}", "elsewhere/mine"),
    "a folder in new is a link": lambda: _link("new/tokenizer", "elsewhere"),
    "the note is a link": lambda: _link("run.json", "elsewhere/mine"),
    "the half-written note is a link": lambda: _link("run.part", "elsewhere/mine"),
    "the lock is a link": lambda: _link("lock", "elsewhere/mine"),
    "the note is a pipe": lambda: ((STAGING / "run.json").unlink(), os.mkfifo(STAGING / "run.json")),
    "a done file is a pipe": lambda: os.mkfifo(STAGING / "done/00002.json"),
    "the lock is a pipe": lambda: ((STAGING / "lock").unlink(missing_ok=True), os.mkfifo(STAGING / "lock")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_stranger_s_staging_folder_leads_nowhere_else(
    case: str, stopped: None, elsewhere: dict[str, bytes], sftcli_here: Here
) -> None:
    HOSTILE[case]()
    for command in (("inspect", "out", "--row", "0"), ("stats", "out"), ("verify", "out")):
        assert sftcli_here(*command).code == 3
    assert sftcli_here(*MAKE) == Ended(0, "", "")
    assert tree(Path("elsewhere")) == elsewhere
    assert tree(OUT) == fresh(sftcli_here)


@pytest.mark.parametrize(
    "names",
    [
        ("../../../elsewhere/mine",),
        ("../evil", "../../evil"),
        ("../old/evil",),  # there, and still above the folder that it would be put into
        ("sub/../evil",),
        ("/evil", "", ".", "..", "x\0y", "a" * 300, "b/" * 3_000),
    ],
)
def test_a_stranger_s_old_manifest_leads_nowhere_else(
    names: tuple[str, ...], stopped: None, elsewhere: dict[str, bytes], sftcli_here: Here
) -> None:
    _old_manifest(*names)
    assert sftcli_here(*MAKE, "--overwrite") == Ended(0, "", "")
    assert tree(Path("elsewhere")) == elsewhere
    assert sorted(path.name for path in Path().iterdir()) == [
        *("a.jsonl", "b.jsonl", "c.jsonl", "elsewhere", "out"),
    ]
    assert tree(OUT) == fresh(sftcli_here)


# The commit


def test_a_signal_in_the_commit_takes_it_back_at_once(sftcli_here: Here) -> None:
    assert sftcli_here("prepare", "a.jsonl", *COMMON, "-o", "out").code == 0
    before = tree(OUT)
    for point in ("commit.staged", "commit.synced", "commit.old_moved", "file.moved@9", "commit.new_moved"):
        ended = run_sftcli(*MAKE, "--overwrite", SFTCLI_FAILPOINTS=f"{point}=stop")
        assert (ended.code, "resume with: sftcli prepare" in ended.err) == (143, True)
        assert {name: raw for name, raw in tree(OUT).items() if not name.startswith(".staging")} == before
    assert run_sftcli(*MAKE, "--overwrite", SFTCLI_FAILPOINTS="commit.done=stop") == Ended(
        143, "", "terminated\n"
    )
    assert tree(OUT) == fresh(sftcli_here)


@pytest.mark.parametrize("options", [(), ("--shuffle",)])
def test_a_run_that_was_killed_after_its_commit_leaves_nothing_to_the_next(
    options: tuple[str, ...], sftcli_here: Here
) -> None:
    make = (*MAKE, *options)
    assert run_sftcli(*make, SFTCLI_FAILPOINTS="commit.done=kill").code == -9
    assert STAGING.exists()
    ended = sftcli_here(*make)
    assert ended.code == 2
    assert "out: already holds a dataset" in ended.err
    assert tree(OUT) == fresh(sftcli_here, *make)


def test_old_files_are_not_removed_before_they_are_back(sftcli_here: Here) -> None:
    """On a disk on which nothing can be moved any more they wait in .staging for the next run."""
    assert sftcli_here("prepare", "a.jsonl", *COMMON, "-o", "out").code == 0
    before = tree(OUT)
    failing = "file.move@4=EIO,file.move@5=EIO,file.move@6=EIO,file.move@7=EIO"
    ended = run_sftcli(*MAKE, "--overwrite", SFTCLI_FAILPOINTS=failing)
    assert ended.code == 3
    assert not (OUT / "manifest.json").exists()
    assert sftcli_here("verify", "out").code == 3
    assert "already holds a dataset" in sftcli_here(*MAKE).err
    assert {name: raw for name, raw in tree(OUT).items() if not name.startswith(".staging")} == before


def test_a_file_of_the_user_is_not_replaced(sftcli_here: Here) -> None:
    assert sftcli_here("prepare", "a.jsonl", *COMMON, "-o", "out").code == 0
    Path("out/rejects.jsonl").write_text("mine")
    Path("out/notes").write_text("mine too")
    before = tree(OUT)
    write(Path("b.jsonl"), {}, *RECORDS)
    make = (*MAKE, "--overwrite", "--on-error", "quarantine")
    ended = sftcli_here(*make)
    assert ended.code == 2
    assert ended.err.startswith(
        "error: out/rejects.jsonl: stands where a file of the dataset goes, and is of no dataset; "
        "move it away"
    )
    assert {name: raw for name, raw in tree(OUT).items() if not name.startswith(".staging")} == before
    Path("out/rejects.jsonl").unlink()
    assert sftcli_here(*make) == Ended(0, "", "")
    assert Path("out/notes").read_text() == "mine too"

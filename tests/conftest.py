"""What tests share: tokenizers (small ones trained here, real ones where the shared folder is), and runs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import small_tokenizers

import sftcli
from sftcli.cli import _run
from sftcli.config import load_config
from sftcli.pipeline import prepare
from sftcli.report import RunReport
from sftcli.tokenizer import Tokenizer, load_tokenizer

EXAMPLES = Path(sftcli.__file__).parent / "data" / "examples"
CONFIGS = Path(sftcli.__file__).parents[1] / "configs"
# Nothing here touches a network.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

# The same examples on every run; `--hypothesis-profile=campaign` looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=40)
hypothesis.settings.register_profile("campaign", deadline=None, database=None, max_examples=2_500)
hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and tokenizers: $SFTCLI_SHARED, or `shared` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SFTCLI_SHARED") or beside)
    if not folder.is_dir():
        pytest.skip(
            "needs the shared data: no `shared` folder beside the checkout, and SFTCLI_SHARED names none"
        )
    return folder


@pytest.fixture(scope="session")
def llama3(shared: Path) -> Tokenizer:
    return _real(shared, "llama3")


@pytest.fixture(scope="session")
def gpt2(shared: Path) -> Tokenizer:
    return _real(shared, "gpt2")


def _real(shared: Path, name: str) -> Tokenizer:
    folder = shared / "tokenizers" / name
    if not folder.is_dir():
        pytest.skip(f"needs the {name} tokenizer: no tokenizers/{name} in the shared folder")
    return load_tokenizer(str(folder))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tokenizer]:
    """A tokenizer of small_tokenizers.BUILDERS by its name, built once."""

    @cache
    def build(name: str) -> Tokenizer:
        return small_tokenizers.BUILDERS[name](tmp_path_factory.mktemp("tokenizer") / name)

    return build


@pytest.fixture(scope="session", params=[*small_tokenizers.BUILDERS, "real llama3", "real gpt2"])
def any_tokenizer(request: pytest.FixtureRequest, small: Callable[[str], Tokenizer]) -> Tokenizer:
    """Each small tokenizer and each real one in turn."""
    if request.param.startswith("real "):
        return request.getfixturevalue(request.param.removeprefix("real "))
    return small(request.param)


@pytest.fixture(scope="session", params=["small", "real"])
def llama3_kind(request: pytest.FixtureRequest, small: Callable[[str], Tokenizer]) -> Tokenizer:
    """A tokenizer with Llama 3's control tokens: a small one and the real one."""
    return small("llama3_small") if request.param == "small" else request.getfixturevalue("llama3")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


def run_sftcli(*args: str, stdin: bytes = b"", cwd: Path | None = None, **environment: str) -> Ended:
    """`python -m sftcli ARGS` in a process of its own, in `cwd` or the current folder."""
    path = os.pathsep.join(filter(None, [str(CONFIGS.parent), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-m", "sftcli", *args],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


Here = Callable[..., Ended]


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is an empty one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sftcli_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """`sftcli ARGS` in this process, on a terminal of 80 columns without colour."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sftcli", *args])
        capsys.readouterr()
        code = _run()  # main() would end this process too
        return Ended(code, *capsys.readouterr())

    return run


def make(out: Path | str, *inputs: Path | str, overwrite: bool = False, **options: Any) -> RunReport:
    """Run the pipeline with a demo tokenizer, unless the options (those of a config) name another."""
    values = {"tokenizer": "demo", "inputs": [str(file) for file in inputs], "output": str(out), **options}
    return prepare(load_config(None, values), overwrite=overwrite)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_bytes())


def chat(*turns: str) -> dict[str, Any]:
    """A conversation: user, assistant, user, ..."""
    roles = ("user", "assistant") * len(turns)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]}


def jsonl(*records: object) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def write(path: Path, *records: object) -> Path:
    path.write_bytes(jsonl(*records))
    return path


TALKS = [chat("Hi", "Hello"), chat("Été?", "日本語 😀", "And?", "Rome"), chat("2+2=", "4")]
BAD = [TALKS[0], {"messages": []}, {"messages": [{"role": "boss", "content": "Hi"}]}, TALKS[1]]


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three conversations in ./talks.jsonl, prepared into ./out; we are in their folder."""
    monkeypatch.chdir(tmp_path)
    write(Path("talks.jsonl"), *TALKS)
    make("out", "talks.jsonl", template="chatml")
    return Path("out")


def spans(tokenizer: Tokenizer, ids: Iterable[int], labels: Iterable[int]) -> list[str]:
    """A row as its stretches of text: `[masked]` and `trained` ones in turn."""
    stretches: list[tuple[bool, bytes]] = []
    for token_id, label in zip(ids, labels, strict=True):
        if not stretches or stretches[-1][0] != (label != -100):
            stretches.append((label != -100, b""))
        stretches[-1] = (label != -100, stretches[-1][1] + tokenizer.token_bytes(token_id))
    return [raw.decode() if trained else f"[{raw.decode()}]" for trained, raw in stretches]

"""What sftcli's own code does not do: it runs no data, starts no program, and talks to nobody."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CONFIGS, TALKS, write

import sftcli

PACKAGE = Path(sftcli.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# What runs code that is data, or unpacks objects of any class.
RUNS = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "ctypes", "pty", "code"}
SPEAKS = {"socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib"}
# Where each of these stands, and why that is no danger.
ALLOWED = {
    ("cli/pager.py", "subprocess"): "the user's own pager, named by PAGER, without a shell",
    ("workers/pool.py", "subprocess"): "this Python, with sftcli's own module, without a shell",
    ("validate/forked.py", "pickle"): "results of our own forked processes, over pipes that no other one has",
}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The modules that a file imports, by their first name and the whole one, with the line."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            yield name, node.lineno


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def faults(path: Path) -> Iterator[str]:
    tree = parsed(path)
    where = path.relative_to(PACKAGE).as_posix()
    for name, line in imports(tree):
        first = name.partition(".")[0]
        if first in MODULES | SPEAKS | {"subprocess"} and name not in ("urllib.parse", "urllib.parse.quote"):
            yield f"{where}:{line}: imports {name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        if name in RUNS or name in ("os.system", "os.popen", "os.execv", "os.spawnv"):
            yield f"{where}:{node.lineno}: calls {name}"
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        for flag in ("shell", "trust_remote_code", "allow_pickle"):
            if flag in given and ast.unparse(given[flag]) != "False":
                yield f"{where}:{node.lineno}: passes {flag}={ast.unparse(given[flag])}"
        if (
            name in ("yaml.load", "yaml.load_all", "yaml.compose")
            and ast.unparse(given["Loader"]) != "_loader()"
        ):
            yield f"{where}:{node.lineno}: {name} with another loader than the safe one"
        if name in ("yaml.full_load", "yaml.unsafe_load", "torch.load", "np.load", "numpy.load"):
            safe = ast.unparse(given["allow_pickle"]) == "False" if "allow_pickle" in given else False
            if not safe:
                yield f"{where}:{node.lineno}: calls {name}"


def test_there_is_nothing_in_the_code_that_runs_data_or_speaks_to_anybody() -> None:
    assert len(SOURCES) > 100
    found = [fault for path in SOURCES for fault in faults(path)]
    unexpected = [
        fault
        for fault in found
        if not any(fault.startswith(where) and name in fault for where, name in ALLOWED)
    ]
    assert unexpected == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("from urllib.request import urlopen", "imports urllib.request"),
        ("eval('1')", "calls eval"),
        ("import os\nos.system('ls')", "calls os.system"),
        (
            "import yaml\nyaml.load('a', Loader=yaml.Loader)",
            "yaml.load with another loader than the safe one",
        ),
        ("run('ls', shell=True)", "passes shell=True"),
        ("f(trust_remote_code=flag)", "passes trust_remote_code=flag"),
        ("np.load('a')", "calls np.load"),
    ],
)
def test_the_test_above_can_fail(
    source: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text(source)
    assert any(fault in found for found in faults(tmp_path / "a.py"))


# Sockets of any kind but those within the process end the run.
NO_NETWORK = """
import socket, sys
def refuse(*args, **kwargs):
    sys.stderr.write(f"NETWORK {args}\\n")
    raise OSError("no network here")
real = socket.socket
class Socket(real):
    def connect(self, address):
        refuse("connect", address)
    connect_ex = sendto = connect
socket.socket = Socket
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""


@pytest.mark.parametrize(
    "command",
    [
        "prepare in.jsonl -t demo --template chatml -o new",
        "prepare in.jsonl -t demo --template chatml -o new --format arrow",
        "inspect in.jsonl -t demo --template chatml",
        "inspect out --format html -o page.html",
        "stats out",
        "stats in.jsonl -t demo --template chatml",
        "validate in.jsonl",
        "validate in.jsonl -t demo --template chatml --format sarif",
        "verify out --deep all",
        "templates list",
        "templates check chatml -t demo",
        "rules",
        "prepare in.jsonl -t no-such/tokenizer -o new",
    ],
)
def test_no_command_speaks_to_anybody(command: str, tmp_path: Path) -> None:
    """No telemetry, no look for a newer version; offline, no question to the hub either."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    write(tmp_path / "in.jsonl", *TALKS)
    path = os.pathsep.join(
        filter(None, [str(tmp_path / "site"), str(CONFIGS.parent), os.environ.get("PYTHONPATH")])
    )
    env = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sftcli", *args],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    if "out" in command.split():
        assert (
            run(*["prepare", "in.jsonl", "-t", "demo", "--template", "chatml", "-o", "out"]).returncode == 0
        )
    ended = run(*command.split())
    assert "NETWORK" not in ended.stderr
    assert ended.returncode == (2 if "no-such" in command else 0), ended.stderr
    probe = [sys.executable, "-c", "import urllib.request as r; r.urlopen('http://localhost:9')"]
    assert "NETWORK" in subprocess.run(probe, env=env, capture_output=True, text=True, check=False).stderr

"""The benchmark's input: a corpus that is given, one that a tool beside the checkout builds, or
one made here from the standard library of the Python that runs.
"""

import ast
import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LONGEST = 8000  # characters of one answer: test tables of 100 kB are no natural answers
MB = 1_000_000
SAMPLE = 12 * MB  # what a contender that is slow gets, at most

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Corpus:
    """One input in the forms in which it is given; the others are made once and then kept in `folder`."""

    plain: Path
    folder: Path | None = None  # None: with what other runs keep

    @property
    def name(self) -> str:
        return f"{self.size / MB:.0f} MB"

    @cached_property
    def size(self) -> int:
        return self.plain.stat().st_size

    @cached_property
    def gz(self) -> Path:
        path = kept(self.plain, ".jsonl.gz", self.folder)
        if is_older(path, self.plain):
            with unfinished(path) as part, self.plain.open("rb") as file, gzip.open(part, "wb", 6) as packed:
                shutil.copyfileobj(file, packed, 1 << 20)
        return path

    @property
    def step(self) -> int:
        """Of how many records the sample takes one."""
        return -(-self.size // SAMPLE)

    @cached_property
    def sample(self) -> Path:
        """Every `step`-th record: as long and as varied as all of them."""
        path = kept(self.plain, "-sample.jsonl", self.folder)
        if is_older(path, self.plain):
            with unfinished(path) as part, part.open("wb") as file:
                file.writelines(islice(self.lines(), 0, None, self.step))
        return path

    def lines(self) -> Iterator[bytes]:
        """The lines that hold a record."""
        with self.plain.open("rb") as file:
            yield from (line for line in file if line.strip())


def of_size(base: Path, megabytes: int) -> Corpus:
    """The first so many megabytes of the base, in whole lines; a smaller base is repeated."""
    path = kept(base, f"-{megabytes}MB.jsonl")
    if is_older(path, base):
        with unfinished(path) as part, part.open("wb") as file:
            while file.tell() < megabytes * MB:
                for line in Corpus(base).lines():
                    file.write(line.rstrip(b"\r\n") + b"\n")
                    if file.tell() >= megabytes * MB:
                        break
    return Corpus(path)


def is_older(path: Path, source: Path) -> bool:
    return not path.exists() or path.stat().st_mtime_ns < source.stat().st_mtime_ns


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A file that is written in the place of `path`, and becomes it at the end."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        yield part
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def kept(source: Path, ending: str, folder: Path | None = None) -> Path:
    """Where what is made of a file is kept: one place for each file and ending."""
    digest = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    return (folder or kept_folder()) / f"{source.stem[:80]}-{digest}{ending}"


def kept_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"sftcli-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def shared_folder() -> Path:
    """Where sample data and tokenizers may lie; it need not exist."""
    return Path(os.environ.get("SFTCLI_SHARED") or CHECKOUT.parent / "shared").resolve()


def built_corpus() -> Path:
    """A corpus in Alpaca form, built once per maker and Python version and then kept."""
    tool = shared_folder() / "tools" / "make_corpus.py"
    maker = tool if tool.is_file() else Path(__file__)
    digest = hashlib.sha256(maker.read_bytes()).hexdigest()[:8]
    corpus = kept_folder() / f"{maker.stem}-{digest}-python-{platform.python_version()}.jsonl"
    if not corpus.exists():
        with unfinished(corpus) as part:
            if maker is tool:
                subprocess.run([sys.executable, str(tool), str(part)], check=True, stdout=sys.stderr)
            else:
                write_corpus(part)
    return corpus


def write_corpus(out: Path) -> None:
    with out.open("wb") as file:
        for record in records():
            try:
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            except UnicodeEncodeError:  # a lone surrogate, which is no text
                continue


def records() -> Iterator[dict[str, str]]:
    """One record for each function, method and class of the standard library, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if "site-packages" not in parts:
            yield from module_records(path, ".".join(parts).removesuffix(".__init__"))


def module_records(path: Path, module: str) -> Iterator[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in the library's own tests
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # broken on purpose, for tests
        return
    lines = text.splitlines(keepends=True)
    for name, node in definitions(tree, ""):
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        source = textwrap.dedent("".join(lines[node.lineno - 1 : node.end_lineno]))
        if len(source) <= LONGEST:
            yield {
                "instruction": f"How could the {kind} {name} of Python's {module} be written?",
                "input": ast.get_docstring(node) or "",
                "output": source,
            }


def definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    """Every definition below `parent` with its dotted name, in the order of the source."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Definition):
            yield prefix + node.name, node
            yield from definitions(node, f"{prefix}{node.name}.")
        else:
            yield from definitions(node, prefix)

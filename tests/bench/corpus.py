"""The benchmark's input: a corpus that is given, one that a tool beside the checkout builds, or
one made here from the standard library of the Python that runs.
"""

import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LONGEST = 8000  # characters of one answer: test tables of 100 kB are no natural answers

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def shared_folder() -> Path:
    """Where sample data and tokenizers may lie; it need not exist."""
    return Path(os.environ.get("SFTCLI_SHARED") or CHECKOUT.parent / "shared").resolve()


def built_corpus() -> Path:
    """A corpus in Alpaca form, built once per maker and Python version and then kept."""
    tool = shared_folder() / "tools" / "make_corpus.py"
    maker = tool if tool.is_file() else Path(__file__)
    digest = hashlib.sha256(maker.read_bytes()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"sftcli-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    corpus = folder / f"{maker.stem}-{digest}-python-{platform.python_version()}.jsonl"
    if not corpus.exists():
        unfinished = corpus.with_suffix(".part")
        if maker is tool:
            subprocess.run([sys.executable, str(tool), str(unfinished)], check=True, stdout=sys.stderr)
        else:
            write_corpus(unfinished)
        unfinished.rename(corpus)
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

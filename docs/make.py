"""Runs the commands that the pages of this folder show, and puts in what they print.

The pages say which commands. A block of `console` lines, each `$ sftcli ...`, gets their output
as text. A block of one command in `sh` that stands right before a picture gets the picture made
anew: of a terminal, or of the page or the plot that the command writes.

    python docs/make.py            every page
    python docs/make.py --check    changes nothing; exit code 1 where what bundled data gives is old

What needs something that is not there (the shared data sets, torch, Chromium) is left as it is,
with a note.
"""

import argparse
import difflib
import html
import itertools
import os
import re
import shlex
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import terminal
from browser import chromium, photograph

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
# What the commands find in the folder where they run.
BUNDLED = {
    "chat.jsonl": ROOT / "sftcli" / "data" / "examples" / "chat.jsonl",
    "ten-faults.jsonl": DOCS / "ten-faults.jsonl",
    "nearly.jsonl": DOCS / "nearly.jsonl",
    "gsm8k.jsonl": ROOT / "sftcli" / "data" / "examples" / "gsm8k.jsonl",
    "configs": ROOT / "configs",
    "sftcli": ROOT / "sftcli",
    "qa.yaml": ROOT / "configs" / "templates" / "qa.yaml",
}
_SHARED = Path(os.environ.get("SFTCLI_SHARED") or ROOT.parent / "shared")
SHARED = {
    "alpaca_en.jsonl": _SHARED / "data" / "alpaca_en.jsonl",
    "sharegpt.jsonl": _SHARED / "data" / "sharegpt.jsonl",
    "llama3": _SHARED / "tokenizers" / "llama3",
}
MODEL = "tiny-model"

_BLOCK = re.compile(
    r"```console\n(?P<console>.*?)```\n"
    r"|```sh\n(?P<command>sftcli [^`]*?)\n```\n\n!\[[^\]]*\]\((?P<picture>pictures/[\w.-]+)\)",
    re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (sftcli (?:[^\n]*\\\n)*[^\n]*)\n", re.MULTILINE)
_CHANGING = [  # what differs from run to run, or from one version of a library to the next
    (r"(tokenizers|fastokens) \d[\d.]+", r"\1 VERSION"),
    (r"[\d.]+ [kM]B\b", "N kB"),
    (r"\d+\.\d+ s\b", "N s"),
]


class Page:
    """One page, and the folder in which its commands run, one after the other.

    `stale` gets a line for each difference between what it shows and what the commands give now.
    """

    def __init__(self, path: Path, folder: Path, check: bool) -> None:
        self.path = path
        self.folder = folder
        self.check = check
        self.stale: list[str] = []

    def make(self) -> None:
        old = self.path.read_text(encoding="utf-8")
        new = _BLOCK.sub(self._block, old)
        if new != old and not self.check:
            self.path.write_text(new, encoding="utf-8")

    def _block(self, block: re.Match[str]) -> str:
        console = block["console"]
        commands = [block["command"]] if console is None else _COMMAND.findall(console)
        for command in commands:
            reason = self._missing(_words(command))
            if reason:
                if not self.check:
                    print(f"left as it is: {command}: {reason}", file=sys.stderr)
                return block[0]
        if console is None:
            self._picture(_words(commands[0]), self.path.parent / block["picture"])
            return block[0]
        return self._console(block[0], commands)

    def _console(self, old: str, commands: list[str]) -> str:
        answers = (f"$ {command}\n{terminal.piped(_words(command), self.folder)}" for command in commands)
        new = "```console\n" + "\n".join(answers) + "```\n"
        return new if self._differs(old, new, self.path.name) else old

    def _picture(self, words: list[str], picture: Path) -> None:
        printed, file = terminal.on_a_terminal(words, self.folder), _written(words)
        if self.check:
            self._differs(_said(picture), terminal.without_colour(printed), picture.name)
            return
        picture.parent.mkdir(exist_ok=True)
        if file is None:
            drawn = terminal.svg(printed, shlex.join(["sftcli", *words]))
            picture.write_text(drawn, encoding="utf-8")
        elif file.suffix == picture.suffix:
            shutil.copyfile(self.folder / file, picture)
        else:
            photograph(self.folder / file, picture)

    def _differs(self, old: str, new: str, name: str) -> bool:
        lines = _masked(old).splitlines(), _masked(new).splitlines()
        found = list(difflib.unified_diff(*lines, name, f"{name}, made anew", lineterm="", n=1))
        self.stale += found
        return bool(found)

    def _missing(self, words: list[str]) -> str | None:
        """Why a command is not run. A check runs what a test can: bundled data, text."""
        for word in words:
            if word in SHARED and (self.check or not SHARED[word].exists()):
                return f"no {word} in the folder of shared data (SFTCLI_SHARED names one)"
        if MODEL in words and (self.check or not find_spec("torch")):
            return "needs torch: pip install 'sftcli[loss]'"
        if "--plot" in words and (self.check or not find_spec("matplotlib")):
            return "needs matplotlib: pip install 'sftcli[plot]'"
        page = any(word.endswith(".html") for word in words)
        return "needs Chromium" if page and (self.check or not chromium()) else None


def _said(picture: Path) -> str:
    """The text that a picture of a terminal shows."""
    found = (
        re.search(r"<desc>(.*?)</desc>", picture.read_text("utf-8"), re.DOTALL) if picture.exists() else None
    )
    return html.unescape(found[1]) if found else ""


def _masked(text: str) -> str:
    for pattern, instead in _CHANGING:
        text = re.sub(pattern, instead, text)
    return text


def _words(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", " "))[1:]


def _written(words: list[str]) -> Path | None:
    """The page or plot that a command writes."""
    for option, value in itertools.pairwise(words):
        if option in ("-o", "--plot") and Path(value).suffix in (".html", ".svg", ".png"):
            return Path(value)
    return None


def _lay_out(page: Path, scratch: Path, model: Path) -> Path:
    """A folder of the page's own with what its commands name; they write there too."""
    folder = scratch / page.stem
    folder.mkdir()
    for name, path in (BUNDLED | SHARED | {MODEL: model}).items():
        if path.exists():
            (folder / name).symlink_to(path)
    return folder


def _train(model: Path, pages: list[Path]) -> None:
    if find_spec("torch") and any(f" {MODEL}" in page.read_text(encoding="utf-8") for page in pages):
        from tiny_model import train

        train(model, BUNDLED["gsm8k.jsonl"], BUNDLED["qa.yaml"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; tell what is old")
    parser.add_argument("pages", nargs="*", type=Path, help="pages [default: all of this folder]")
    options = parser.parse_args()
    pages = options.pages or sorted(DOCS.glob("*.md"))
    stale: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model = scratch / "model"
        _train(model, [] if options.check else pages)
        for path in pages:
            page = Page(path, _lay_out(path, scratch, model), options.check)
            page.make()
            stale += page.stale
    if options.check and stale:
        print("\n".join([*stale, "", "old; `make docs` makes it anew"]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the pages of docs/ show is what the tool prints, and the pictures are drawn right."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import CONFIGS, EXAMPLES, run_sftcli

pytest.importorskip("rich", reason="needs rich, of the extra `dev`")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SVG = "{http://www.w3.org/2000/svg}"


def check(*pages: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCS / "make.py"), "--check", *map(str, pages)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def parsed(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 (our own file)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    import terminal

    return terminal


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_print(page: Path) -> None:
    done = check(page)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PAGE = """\
```console
$ sftcli inspect chat.jsonl -t demo --template chatml
chat.jsonl:1 · row 0
```

```sh
sftcli templates show plain --color always
```

![A layout](pictures/layout.svg)
"""


def test_what_is_old_is_told_and_made_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    done = check(page)
    assert done.returncode == 1
    assert "\n+0 user       │ ⟦<|im_start|>⟧user↵\n" in done.stdout
    assert "\n--- layout.svg\n" in done.stdout
    assert done.stdout.endswith("\nold; `make docs` makes it anew\n")
    assert page.read_text(encoding="utf-8") == PAGE
    assert not (tmp_path / "pictures").exists()

    subprocess.run([sys.executable, str(DOCS / "make.py"), str(page)], check=True)
    assert "\n0 user       │ ⟦<|im_start|>⟧user↵\n" in page.read_text(encoding="utf-8")
    assert check(page).returncode == 0

    picture = tmp_path / "pictures" / "layout.svg"
    drawn = picture.read_text(encoding="utf-8")
    picture.write_text(drawn.replace("{prompt}", "{question}"), encoding="utf-8")
    assert check(page).returncode == 1


def test_every_option_that_the_pages_name_exists() -> None:
    commands = ("prepare", "inspect", "stats", "validate", "verify", "rules")
    helps = "".join(run_sftcli(command, "--help").out for command in commands)
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", pages))
    assert "--loss" in named
    assert {option for option in named if option not in helps} == set()


def samples(page: str) -> list[dict[str, Any]]:
    """The blocks of JSON on a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def test_the_json_of_a_row_is_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    done = run_sftcli("inspect", "chat.jsonl", "-t", "demo", "--template", "chatml", "--format", "json")
    row = json.loads(done.out)
    tokens = row.pop("tokens")
    assert samples("inspect.md") == [row, tokens[17]]


def test_the_json_of_stats_is_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    template = str(CONFIGS / "templates" / "qa.yaml")
    done = run_sftcli("stats", "gsm8k.jsonl", "-t", "demo", "--template", template, "--json")
    figures = json.loads(done.out)
    shown = samples("stats.md")
    assert shown
    assert shown == [{name: figures[name] for name in sample} for sample in shown]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_are_there_and_small(page: Path) -> None:
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    for name in named:
        assert 0 < (page.parent / name).stat().st_size < 150_000
        if name.endswith(".svg"):
            assert parsed((page.parent / name).read_text(encoding="utf-8")).tag == f"{SVG}svg"


def test_no_picture_is_left_over() -> None:
    named = {name for page in PAGES for name in re.findall(r"\((pictures/[^)]+)\)", page.read_text("utf-8"))}
    assert named == {path.relative_to(DOCS).as_posix() for path in (DOCS / "pictures").iterdir()}


def test_colours_and_places_of_a_drawing(terminal: ModuleType) -> None:
    printed = (
        "a \x1b[1;32mok\x1b[0m <&\n"
        "\x1b[2m日本\x1b[0m\x1b[1;7;32m|x|\x1b[0m\n"
        "\x1b[38;5;16;48;5;209mhot\x1b[0m\n"
    )
    root = parsed(terminal.svg(printed, "sftcli inspect <x>"))
    assert root.findtext(f"{SVG}title") == "sftcli inspect <x>"
    assert root.findtext(f"{SVG}desc") == "a ok <&\n日本|x|\nhot\n"
    texts = [
        (text.text, text.get("x"), text.get("y"), text.get("textLength"), text.get("fill"))
        for text in root.iter(f"{SVG}text")
    ]
    dim = "#84878e"  # four tenths of the way from the letters' colour to the ground's
    assert texts == [
        ("a ", "14.0", "27", "15.6", "#cdd1d9"),
        ("ok", "29.6", "27", "15.6", "#7ec677"),
        (" <&", "45.2", "27", "23.4", "#cdd1d9"),
        ("日本", "14.0", "45", "31.2", dim),
        ("|x|", "45.2", "45", "23.4", "#181a1f"),
        ("hot", "14.0", "63", "23.4", "#000000"),
    ]
    boxes = [(box.get("x"), box.get("width"), box.get("fill")) for box in root.iter(f"{SVG}rect")]
    assert boxes[1:] == [("45.2", "23.4", "#7ec677"), ("14.0", "23.4", "#ff875f")]


def test_a_command_sees_a_terminal_of_80_columns(terminal: ModuleType, tmp_path: Path) -> None:
    shutil.copy(ROOT / "sftcli" / "data" / "examples" / "chat.jsonl", tmp_path)
    command = ["inspect", "chat.jsonl", "-t", "demo", "--template", "chatml"]
    printed = terminal.on_a_terminal(command, tmp_path)
    assert "\x1b[1;32mParis." in printed
    assert "\r" not in printed
    assert "\x1b" not in terminal.without_colour(printed)
    assert max(map(len, terminal.without_colour(printed).splitlines())) <= 80
    with pytest.raises(SystemExit, match=r"exit code 2\n.*none\.jsonl"):
        terminal.on_a_terminal(["inspect", "none.jsonl", "-t", "demo"], tmp_path)

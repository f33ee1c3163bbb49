"""SECURITY.md names the test of each promise; the tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISED = PAGE[PAGE.index("## What is promised") : PAGE.index("## What is not promised")]


def test_each_promise_names_tests_that_are_there() -> None:
    promises = re.split(r"\n(?=\*\*)", PROMISED)[1:]
    assert len(promises) == 8
    for promise in promises:
        file, named = None, 0
        for name in re.findall(r"`([^`\s]+)`", promise):
            if name.startswith("tests/"):
                file = (ROOT / name).read_text(encoding="utf-8")
            elif name.startswith("test_"):
                assert file is not None
                assert f"def {name}(" in file, name
                named += 1
        assert named, promise


def test_no_line_is_longer_than_the_others() -> None:
    assert max(map(len, PAGE.splitlines())) <= 120

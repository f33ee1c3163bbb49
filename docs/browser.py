"""A picture of a page (PNG), taken by the Chromium that is installed."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


def photograph(page: Path, picture: Path, width: int = 1100, height: int = 700) -> None:
    """Open a page, with its first row, and save what is seen. Raises SystemExit where that fails."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                chromium() or _NAMES[0],
                *_FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--screenshot={picture.resolve()}",
                page.resolve().as_uri(),
            ],
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    if done.returncode or not picture.exists():
        sys.exit(f"{page}: Chromium took no picture\n{done.stderr}")

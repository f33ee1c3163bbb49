"""What the terminal that we print to can show."""

import os
import shutil
import sys

from sftcli.view.page import Screen

_MAX_WIDTH = 120  # longer lines are hard to read


def terminal(color: str = "auto") -> Screen:
    """Colour, width and alphabet of standard output; NO_COLOR and FORCE_COLOR are respected."""
    wanted = color == "always"
    if color == "auto":
        wanted = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
        wanted = wanted and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    width = min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)
    return Screen(wanted, max(width, 20), not encoding.startswith("utf"))

"""How many cores there are for this process."""

import os

SHARE = "SFTCLI_CORES"


def cores() -> int:
    """How many threads of this process can run at once; SFTCLI_CORES says that it has to share them."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(SHARE, "")
    return min(there, int(share)) if share.isdecimal() and int(share) else there

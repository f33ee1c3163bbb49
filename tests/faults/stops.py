"""SIGINT, SIGTERM and SIGHUP at random moments, to the process or to all: a clean end, and how to go on."""

import os
import random
import re
import signal
import time
from pathlib import Path

from running import Figures, Job, start, tree, wait

LONGEST = 2.0  # seconds from the signal to the end
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_MESSAGE = r"\n?(interrupted|terminated)(; resume with: sftcli prepare [^\n]*)?\n"


def stop_at_random(
    job: Job, out: Path, number: signal.Signals, chance: random.Random, most: float, figures: Figures
) -> None:
    """One run that is stopped somewhere in its first `most` seconds, then goes on."""
    over_old = chance.random() < 0.5
    args = job.out(out, over_old)
    process = start(args)
    time.sleep(chance.uniform(0, most))
    to_all = chance.random() < 0.5
    (os.killpg if to_all else os.kill)(process.pid, number)
    ended = wait(process)
    state = job.state(out, over_old)
    if ended.code == 0:
        figures.add("was too late")
    elif ended.code == -number:
        assert state in ("old", "nothing"), "Python itself was not up yet"
        figures.add("before the run began", ended.seconds)
    else:
        assert ended.code == CODES[number], ended
        assert re.fullmatch(_MESSAGE, ended.err), ended
        figures.add(f"{number.name}, left {state}", ended.seconds)
    if state != "new":
        job.goes_on(args, out)
    assert tree(out) == job.wanted

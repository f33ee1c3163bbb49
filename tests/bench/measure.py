"""Run one command as a whole process and say what it took: wall, CPU, peak memory of its tree."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cores import CoreUse

INTERVAL = 0.05  # seconds between two looks at memory
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CommandFailedError(Exception):
    """The command ended with another code than 0; the text is the end of what it printed."""


@dataclass(frozen=True)
class Usage:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    cores: dict[int, list[float]] = field(default_factory=dict)  # see CoreUse


def run(argv: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> Usage:
    """Run `argv` to its end, its output going to `log`; raises CommandFailedError."""
    with log.open("wb") as output:
        start = time.perf_counter()
        # A session of its own names the whole tree, workers that outlive their parent included.
        process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdout=output, stderr=output, start_new_session=True
        )
        samplers = Sampler(process.pid), CoreUse()
        for sampler in samplers:
            sampler.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            seconds = time.perf_counter() - start
            for sampler in samplers:
                sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log.read_text(errors="replace").splitlines()[-20:]
        raise CommandFailedError("\n".join([f"exit code {process.returncode}", *tail]))
    # ru_maxrss is the largest single process, seen by the kernel: sampling can only miss peaks.
    memory, use = samplers
    peak = max(memory.peak, used.ru_maxrss * MAXRSS_UNIT)
    return Usage(seconds, used.ru_utime + used.ru_stime, peak, use.shares)


class Sampler(threading.Thread):
    """Keeps the highest sum of memory over the processes of one session."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session = session
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        pause = 0.0
        while not self._done.wait(pause):
            before = time.thread_time()
            self.peak = max(self.peak, session_memory(self.session))
            # Looking is work, and counting pages holds their process up: leave the contender 98%.
            pause = max(INTERVAL, 50 * (time.thread_time() - before))

    def stop(self) -> None:
        self._done.set()
        self.join()


def session_memory(session: int) -> int:
    """Bytes held by a session's processes; pages that several of them share count once.

    0 for a process that is alone: the kernel knows its peak, and to count its pages would hold it up.
    """
    processes = list(processes_of(session))
    return sum(map(process_memory, processes)) if len(processes) > 1 else 0


def processes_of(session: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except OSError:  # it has ended since
            continue
        # "pid (name) state parent group session ...", and a name may hold blanks and brackets
        if int(stat.rpartition(")")[2].split()[3]) == session:
            yield process


def process_memory(process: Path) -> int:
    """PSS, where a page shared by n processes counts one n-th; RSS on kernels without it."""
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0

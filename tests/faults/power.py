"""A power cut on ext4: the file system is shut down under the run, and what had not reached the disk is gone.

ext4 does so on request (FS_IOC_SHUTDOWN), as its own tests do. What is left is what the journal and the disk
hold at that moment; the next mount replays the journal as after a real cut. It needs root and a loop device.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from running import Ended, Figures, Job, is_whole, run, tree

_FS_IOC_SHUTDOWN = 0x8004587D
# What the disk still gets: nothing more at all; or the journal and so all names, but none of the contents.
CUTS = {"at once": 2, "names only": 1}
_MOUNT = "loop,commit=600"  # nothing reaches the disk that was not asked to

# Runs in which a step of the commit is left out, to see that these tests notice.
MUTANTS = {
    "no folder is synced": "lambda path: None if path.is_dir() else sync(path)",
    "no shard is synced": "lambda path: sync(path) if path.is_dir() else None",
}
_MUTANT = "import sftcli.commit as c; sync = c._sync; c._sync = {}; from sftcli.cli import main; main()"


def why_not() -> str | None:
    """Why there can be no power cut here."""
    if os.geteuid() != 0:
        return "needs root, to mount an ext4 image"
    if not shutil.which("mkfs.ext4"):
        return "needs mkfs.ext4"
    probe = subprocess.run(["losetup", "--find"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "needs a loop device"


class Disk:
    """An ext4 file system in a file, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._image, self.root = folder / "disk.img", folder / "disk"
        self.root.mkdir(exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(24 << 20)
        _call("mkfs.ext4", "-q", "-F", "-O", "^resize_inode", str(self._image))

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        _call("mount", "-o", _MOUNT, str(self._image), str(self.root))
        try:
            yield self.root
        finally:
            _call("umount", str(self.root))

    def cut(self, how: int) -> None:
        """Take the power away."""
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(handle)


def cut_at(
    point: str, how: str, job: Job, folder: Path, over_old: bool, figures: Figures, mutant: str | None = None
) -> None:
    """The power goes at a point of a run, or right after its end (no point).

    The run is killed there and the power cut then, which for the disk is the same moment. Raises
    AssertionError where a promise is broken.
    """
    disk = Disk(folder)
    with disk.mounted() as root:
        args = job.out(root / "out", over_old)
        os.sync()  # the old dataset is from long ago
        ended = _run(args, f"{point}=kill" if point else "", mutant)
        assert (ended.code == 0) == (point == ""), ended
        disk.cut(CUTS[how])
    with disk.mounted() as root:
        out = root / "out"
        if not point:
            assert out.is_dir(), "the run ended well, and its folder is not there"
            assert is_whole(out), "the run ended well, and the dataset is not whole"
            assert job.state(out, over_old) == "new"
            figures.add(f"{how}, after the end: whole", ended.seconds)
            return
        state = job.state(out, over_old)
        job.goes_on(args, out)
        assert tree(out) == job.wanted
    figures.add(f"{how}, left {state}", ended.seconds)


def _run(args: list[str], failpoints: str, mutant: str | None) -> Ended:
    if mutant is None:
        return run(args, failpoints=failpoints)
    return run(args, failpoints=failpoints, starter=("-c", _MUTANT.format(MUTANTS[mutant])))


def _call(*args: str) -> None:
    subprocess.run(args, check=True, capture_output=True)

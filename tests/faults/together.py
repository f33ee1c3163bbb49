"""Several runs at once, into one folder or each into its own."""

from pathlib import Path

from running import Figures, Job, start, tree, wait


def into_one(count: int, job: Job, out: Path, figures: Figures) -> None:
    """Exactly one run wins, and the others say so: another is writing, or the dataset is there already."""
    args = job.out(out, over_old=False)
    runs = [start(args) for _ in range(count)]
    ended = [wait(process) for process in runs]
    assert sorted(one.code for one in ended).count(0) == 1, ended
    for one in ended:
        if one.code == 3:
            assert "another run is writing to this folder (" in one.err, one
        elif one.code == 2:
            assert "already holds a dataset" in one.err, one
        else:
            assert one.code == 0, one
        figures.add({0: "won", 2: "came too late", 3: "refused"}[one.code], one.seconds)
    assert tree(out) == job.wanted


def into_many(count: int, job: Job, folder: Path, figures: Figures) -> None:
    outs = [folder / f"out{number}" for number in range(count)]
    ended = [wait(process) for process in [start(job.out(out, over_old=False)) for out in outs]]
    for out, one in zip(outs, ended, strict=True):
        assert (one.code, one.err) == (0, ""), one
        assert tree(out) == job.wanted
        figures.add("fine", one.seconds)

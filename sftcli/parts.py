"""All splits of a run, done by this process or by several: what became of each, in their order."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from sftcli.budget import Budget
from sftcli.errors import EnvironmentFault, SftcliError
from sftcli.part import Errand, is_whole, process_part
from sftcli.progress import Progress, Step
from sftcli.read.source import lines_before
from sftcli.sources import Part, Sources
from sftcli.staging import Done, Staging

if TYPE_CHECKING:
    from sftcli.workers.pool import Pool

BudgetOf = Callable[[Part], Budget]  # what is left for a split, when those before it are counted


def done_before(sources: Sources, staging: Staging, tell: Progress | None) -> dict[int, Done]:
    """What an earlier run has done of this one, by the numbers of the splits; all else it made is removed."""
    on_error = sources.config.on_error
    found = ((part, staging.finished(part.number, part.split, on_error)) for part in sources.parts())
    kept = {
        part.number: done
        for part, done in found
        if done is not None and is_whole(part, done, sources, staging)
    }
    if staging.has_work:
        staging.keep_only(kept.values())
    staging.resumed = len(kept)
    for done in kept.values():
        if tell is not None:
            tell(Step(done.report.input_bytes, 0, done.report.rejected.total()))
    return kept


def in_this_process(
    sources: Sources, staging: Staging, budget_of: BudgetOf, tell: Progress | None
) -> Iterator[tuple[Part, Done]]:
    """Each split with what became of it."""
    kept = done_before(sources, staging, tell)
    for part in sources.parts():
        done = kept.pop(part.number, None)
        if done is None:
            done = process_part(part, sources, staging, Errand(budget_of(part), tell))
        yield part, done


def in_others(
    sources: Sources, staging: Staging, pool: "Pool", budget: Budget, tell: Progress | None
) -> Iterator[tuple[Part, Done]]:
    """The same by the processes of a pool; each split has the same budget."""
    from sftcli.workers.killers import Blame
    from sftcli.workers.spec import Spec

    kept = done_before(sources, staging, tell)
    parts = {part.number: part for part in sources.parts()}
    pool.begin(Spec.of(sources, staging, budget, staging.share()).encode())
    blame = Blame(_place_in(parts), leaves_out=sources.config.on_error != "fail")
    results = pool.results([number for number in parts if number not in kept], blame, tell)
    ended: dict[int, SftcliError | None] = {}
    for number, part in parts.items():
        while number not in kept and number not in ended:
            other, problem = next(results)
            if isinstance(problem, EnvironmentFault):
                raise problem  # of the machine, on which other splits do no better
            ended[other] = problem
        problem = ended.pop(number, None)
        if problem is not None:
            raise problem
        yield part, kept[number] if number in kept else staging.load(number)


def _place_in(parts: Mapping[int, Part]) -> Callable[[int, int, int], str]:
    def place(number: int, first: int, last: int) -> str:
        """Lines of a split, counted from 0, as they are named to the user."""
        split = parts[number].split
        before = lines_before(split.file, split.start) + 1 if split.compression is None else 1
        lines = f"{before + first}" if first == last else f"{before + first}-{before + last}"
        return f"{split.file}:{lines}"

    return place

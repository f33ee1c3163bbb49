"""The other process: does splits one after another as it is told to."""

import os
from dataclasses import replace
from typing import BinaryIO

from sftcli.arrange.asked import TRAIN
from sftcli.budget import Budget, Watch
from sftcli.errors import InternalError
from sftcli.failpoints import reach
from sftcli.part import Errand, process_part
from sftcli.progress import Step
from sftcli.sources import Sources
from sftcli.split import process_split
from sftcli.staging import Staging
from sftcli.workers.messages import (
    OUT_OF_MEMORY,
    At,
    Begin,
    Do,
    Failed,
    Finished,
    Order,
    Ready,
    Try,
    Went,
    send,
)
from sftcli.workers.spec import Spec


class Worker:
    """Follows orders; what comes of them goes into `pipe`."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._run: tuple[Sources, Staging, Budget] | None = None

    def follow(self, order: Order) -> None:
        """Do what is asked. Raises BrokenPipeError where nobody wants to know any more."""
        try:
            if isinstance(order, Begin):
                self._run = Spec.decode(order.spec).open()
                send(self._pipe, Ready())
            elif isinstance(order, Do):
                self._do(order)
            elif isinstance(order, Try):
                self._try(order)
        except BrokenPipeError:
            raise
        except MemoryError:  # as where the system kills it: the record that takes it all is found
            os._exit(OUT_OF_MEMORY)
        except BaseException as problem:  # it is raised where somebody can handle it
            send(self._pipe, Failed.of(problem))

    def _do(self, order: Do) -> None:
        sources, staging, budget = self._opened()
        reach("worker.split", str(order.number))
        errand = Errand(
            budget=replace(budget, deadly=frozenset(order.left_out)),
            tell=self._went,
            watch=Watch(self._at) if order.slowly else None,
        )
        process_part(sources.part(order.number), sources, staging, errand)
        send(self._pipe, Finished(order.number))

    def _try(self, order: Try) -> None:
        sources, staging, budget = self._opened()
        part = sources.part(order.number)
        watch = Watch(self._at, (order.first, order.last))
        budget = replace(budget, fatal=None, deadly=frozenset(order.left_out))
        with staging.scratch(order.number) as path:
            process_split(part.split, part.source.run, {TRAIN: path}, budget, watch=watch)
        send(self._pipe, Finished(order.number))

    def _opened(self) -> tuple[Sources, Staging, Budget]:
        if self._run is None:
            raise InternalError("a process was told to work before it was told on what")
        return self._run

    def _went(self, step: Step) -> None:
        send(self._pipe, Went(*step))

    def _at(self, first: int, last: int) -> None:
        send(self._pipe, At(first, last))
        reach("worker.lines", f" {first}-{last} ")

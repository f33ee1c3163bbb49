"""Where the other process begins: it listens at once, and loads the rest of sftcli beside that."""

import gc
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

from sftcli.fastload import begin_loading
from sftcli.workers.messages import NOT_FOR_WORKERS, Order, Warm, orders, receive


def main() -> None:
    """Work for the process at the other end of standard input and output, until it is gone."""
    for number in NOT_FOR_WORKERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_WORKERS)
    gc.disable()
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the messages
    asked: SimpleQueue[Order] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    order = asked.get()
    if isinstance(order, Warm):
        begin_loading(order.tokenizer_json)
        from sftcli.workers import work  # noqa: F401 (beside the loading)

        order = asked.get()
    from sftcli.workers.work import Worker

    worker = Worker(pipe)
    try:
        while True:
            worker.follow(order)
            order = asked.get()
    except BrokenPipeError:
        os._exit(1)


def _listen(pipe: BinaryIO, asked: "SimpleQueue[Order]") -> None:
    """Ends this process as soon as the first one is gone, whatever it is doing."""
    try:
        while True:
            asked.put(orders.decode(receive(pipe)))
    except EOFError:
        os._exit(0)

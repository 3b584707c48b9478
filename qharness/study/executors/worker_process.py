"""A worker's process: reads orders from standard input and writes outcomes to standard output, pickled.

It ends when its input does, as when its parent dies; everything that is printed goes to standard error.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
from typing import IO, Any

from qharness.progress import progress_sent_to
from qharness.study.executors.worker_messages import Moved, Order
from qharness.study.jobs import Memory, perform

_SECONDS_BETWEEN_MOVES = 0.5


def main() -> None:
    """Do the jobs ordered on standard input; write progress and outcomes to standard output, until the input ends."""
    source, sink = (os.fdopen(os.dup(number), mode) for number, mode in ((0, "rb"), (1, "wb")))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what anything prints is no answer
    orders: queue.Queue[Order | None] = queue.Queue()
    threading.Thread(target=_listen, args=(source, orders), daemon=True).start()
    memory = Memory()

    def send(message: Any) -> None:
        pickle.dump(message, sink)
        sink.flush()

    sent = 0.0

    def moved(what: str, done: int, total: int) -> None:
        nonlocal sent
        if done >= total or time.monotonic() - sent > _SECONDS_BETWEEN_MOVES:
            sent = time.monotonic()
            send(Moved(what, done, total))

    with progress_sent_to(moved):
        while order := orders.get():
            send(perform(order.job, memory, wait=order.wait))


def _listen(source: IO[bytes], orders: queue.Queue[Order | None]) -> None:
    """Pass orders on; end the process if the stream ends without a None, for then its parent has died."""
    try:
        while order := pickle.load(source):  # noqa: S301 - from the process that started this one
            orders.put(order)
        orders.put(None)
    except EOFError:
        os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

"""A model of lm-eval's that makes several completions at a time, each in a thread, and loses none that is made."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from queue import Empty, SimpleQueue

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from qharness.errors import ModelError
from qharness.models.completion_keys import CompletionRequest, completion_requests
from qharness.models.generation_clock import GenerationClock
from qharness.models.lm_interface import Completion, Key
from qharness.progress import phase


class ConcurrentLM(LM):  # type: ignore[misc]
    """One run of a model that answers requests from several threads.

    Completions in `known` are not made again; each that is made goes to `on_batch` as soon as it is whole. So an
    interrupted run loses those in flight only.
    """

    backend = ""
    """Its name on the command line, for messages."""
    ends_when_stopped = False
    """Whether `complete` returns soon after `stopping` is set; an interrupted run waits for it then."""

    def __init__(self, seed: int, at_a_time: int) -> None:
        super().__init__()
        self._seed = seed
        self.known: dict[Key, str] = {}
        self.on_batch: Callable[[Sequence[Completion]], None] = lambda _: None
        self.batch_dependent = False
        self.at_a_time: int | None = at_a_time
        self._threads = at_a_time
        self.batches: list[list[tuple[int, int]]] = []
        self.clock = GenerationClock()

    @abstractmethod
    def complete(self, request: CompletionRequest, stopping: threading.Event) -> str:
        """The text of one completion, cut at its stop sequences; called from several threads.

        `stopping` is set when nothing waits for it any more.
        """

    def prepare(self, requests: Sequence[CompletionRequest]) -> None:
        """Get ready for the requests that are to be made; called once before the first of them."""

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Complete each request; the n-th repetition of one is its n-th sample. Raises ModelError."""
        wanted = completion_requests(requests, self._seed)
        if any(request.decoding.num_beams > 1 for request in wanted):
            raise ModelError(f"--backend {self.backend} does not search with beams: --backend hf does")
        left = [request for request in wanted if request.key not in self.known]
        if left:
            self.prepare(left)
        done = len(wanted) - len(left)
        results = concurrently(self.complete, left, self._threads, wait=self.ends_when_stopped)
        with self.clock.running(), phase("generate", "completions") as progress, closing(results) as made:
            for request, text in made:
                self.known[request.key] = text
                self.on_batch([(*request.key, text)])
                done += 1
                progress(done, len(wanted))
        return [self.known[request.key] for request in wanted]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Raise ModelError: only texts are asked for."""
        raise ModelError(f"--backend {self.backend} writes completions, and this task asks for likelihoods: use hf")

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Raise ModelError: only texts are asked for."""
        raise ModelError(f"--backend {self.backend} writes completions, and this task asks for likelihoods: use hf")


def concurrently(
    function: Callable[[CompletionRequest, threading.Event], str],
    items: Sequence[CompletionRequest],
    at_a_time: int,
    *,
    wait: bool,
) -> Generator[tuple[CompletionRequest, str], None, None]:
    """(item, result) of each item, in the order in which they are done; `at_a_time` of them together.

    After an error no item is begun; the results of those in flight are given, and then the error is raised. Where the
    caller goes away, by Ctrl-C too, the threads are waited for if `wait`; otherwise they end with the process.
    """
    left: SimpleQueue[CompletionRequest] = SimpleQueue()
    done: SimpleQueue[tuple[CompletionRequest, str] | BaseException | None] = SimpleQueue()
    stopping = threading.Event()
    for item in items:
        left.put(item)

    def work() -> None:
        try:
            while not stopping.is_set():
                item = left.get_nowait()
                done.put((item, function(item, stopping)))
        except Empty:
            pass
        except BaseException as error:  # it belongs to the thread that asked
            done.put(error)
        done.put(None)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(at_a_time, len(items)))]
    running = len(workers)
    first_error: BaseException | None = None
    try:
        for worker in workers:
            worker.start()
        while running:
            found = done.get()
            if found is None:
                running -= 1
            elif isinstance(found, BaseException):
                first_error = first_error or found
                stopping.set()
            else:
                yield found
    finally:
        stopping.set()
        for worker in workers if wait else ():
            worker.join()
    if first_error:
        raise first_error

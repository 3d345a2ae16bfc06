"""Jobs: a thread for each model does what is asked of it, one after the other; few may wait, and any can be cancelled."""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import ModelError, SaywhyError

LOG = logging.getLogger("saywhy.serve")
WAITING = 16  # jobs that may wait for one model; more are told to come back later
GRACE = 5.0  # seconds beyond its limit before a job that cannot be interrupted is given up


class BusyError(SaywhyError):
    """As many jobs wait for this model as may wait."""


class CancelledError(Exception):
    """Raised inside of a job, between two batches, when nobody waits for it any more."""


class TimeLimitError(SaywhyError):
    """A job took longer than a job may take."""


@dataclass(eq=False)
class Job:
    """Something to do for somebody who waits, how far it is, and what came out."""

    work: Callable[[Any, Job], Any]  # called with what the worker holds (the model), and this job
    limit: float  # seconds that it may run
    urgent: bool = False  # is it so short that it goes before those that wait?
    changed: Callable[[], None] = lambda: None  # called after each change, from the worker's thread
    event: asyncio.Event = field(default_factory=asyncio.Event)  # what the event loop waits on
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "waiting"  # then "running", then "done", "failed" or "cancelled"
    rows: int = 0  # model inputs that are answered
    expected: int | None = None  # how many there will be, where that is known
    result: Any = None
    error: Exception | None = None
    started: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @property
    def overdue(self) -> bool:
        """Has it run so long beyond its limit that it is stuck in one call of the model?"""
        return self.started is not None and not self.ended and time.monotonic() - self.started > self.limit + GRACE

    def cancel(self) -> None:
        """It ends before its next batch, or before it begins."""
        self.stop.set()

    def tick(self, inputs: int, rows: int) -> None:
        """Told by the engine after each batch. Raises CancelledError, or TimeLimitError."""
        self.rows += rows
        if self.stop.is_set():
            raise CancelledError
        if self.started is not None and time.monotonic() - self.started > self.limit:
            raise TimeLimitError(
                f"This took longer than {self.limit:g} seconds and was stopped. Take a shorter text, coarser features or a "
                "method with fewer evaluations, or start the server with a larger --time-limit."
            )
        self.changed()

    def expect(self, rows: int | None) -> None:
        """Told before the work how many model inputs there will be, as far as that is known."""
        self.expected = rows
        self.tick(0, 0)

    def run(self, held: object) -> None:
        """Do it. Whatever goes wrong is kept as the error."""
        if self.stop.is_set():
            self.state = "cancelled"
        else:
            self.state, self.started = "running", time.monotonic()
            self.changed()
            try:
                self.result = self.work(held, self)
                self.state = "done"
            except CancelledError:
                self.state = "cancelled"
            except Exception as error:
                if not isinstance(error, SaywhyError) or isinstance(error, ModelError):
                    LOG.warning("a request failed", exc_info=error)
                self.error, self.state = error, "failed"
        self.changed()


@dataclass(eq=False)
class Worker:
    """One thread that first makes what it holds (a model is loaded), then does one job after the other with it."""

    name: str
    prepare: Callable[[], Any]
    most: int = WAITING
    state: str = "loading"  # then "ready" or "failed"
    held: Any = None
    error: Exception | None = None
    prepared: threading.Event = field(default_factory=threading.Event)  # set when it is ready, or failed
    _queue: queue.PriorityQueue[tuple[int, int, Job]] = field(default_factory=queue.PriorityQueue)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _room: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        threading.Thread(target=self._work, name=f"saywhy serve: {self.name}", daemon=True).start()

    def submit(self, job: Job) -> None:
        """Put a job into the queue. Raises BusyError where too many wait."""
        with self._room:
            if self._queue.qsize() >= self.most:
                raise BusyError(f"{self.most} requests wait for {self.name} already; ask again in a few seconds.")
            self._queue.put((0 if job.urgent else 1, next(self._order), job))

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def _work(self) -> None:
        try:
            self.held = self.prepare()
            self.state = "ready"
        except Exception as error:
            if not isinstance(error, SaywhyError):  # one of ours says all there is to say
                LOG.warning("%s could not be loaded", self.name, exc_info=error)
            self.error, self.state = error, "failed"
        self.prepared.set()
        while True:
            job = self._queue.get()[2]
            if self.error is not None:
                job.error, job.state = self.error, "failed"
                job.changed()
            else:
                job.run(self.held)

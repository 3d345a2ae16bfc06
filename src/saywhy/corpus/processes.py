"""Shards handed out to processes of this machine, each with an explainer of its own (`worker.py`).

A worker reads a job and then the numbers of shards, one a line, and answers a line for each. What goes to and fro is text, so
the model is named by its folder or hub id, and nothing is unpickled. A worker that dies is replaced, and makes its shard again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from typing import Any

from ..core.errors import ModelError, OptionError
from .jobs import HandOut, Job, Made
from .plan import CorpusRequest
from .serialization import dumped
from .worker import FAILED, READY

# The worker finds modules where this process does, and so none that lie in the working directory by chance.
BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from saywhy.corpus.worker import main; main()"
TRIES = 3  # how often a shard is begun before it is said to kill its worker


def ready(spec: Mapping[str, Any], wanted: CorpusRequest, workers: int, gpus: float) -> HandOut:
    """Hands shards to so many processes, which share the cores; with `gpus`, worker i has GPU int(i x gpus).

    Raises OptionError for what cannot be told in plain text, and where there is no GPU.
    """
    _written({"spec": spec, "wanted": asdict(wanted)})
    here = _gpus() if gpus else 0
    devices = [{"device": f"cuda:{int(i * gpus) % here}"} if here else {} for i in range(workers)]
    return partial(_handed_out, devices=devices)


def _gpus() -> int:
    import torch

    here = torch.cuda.device_count()
    if not here:
        raise OptionError("`gpus` asks for GPUs for the workers, and torch sees none on this machine.")
    return here


def _written(plain: Mapping[str, Any]) -> str:
    """One line of JSON."""
    try:
        return dumped(plain)
    except TypeError as error:
        raise OptionError(
            f"Workers are told what to do in plain text, and this is none: {error}. Name the model by its folder or hub id "
            "and the method by its name; or take one worker and no `gpus`, or engine='ray'."
        ) from None


def _handed_out(job: Job, waiting: Sequence[int], devices: Sequence[Mapping[str, str]]) -> Iterator[Made]:
    import torch

    devices = devices[: len(waiting)]
    threads = max(1, torch.get_num_threads() // len(devices))
    plain = {
        "wanted": asdict(job.wanted),
        "kept": job.kept,
        "typed": sorted(job.typed),
        "schema": job.schema.serialize().to_pybytes().hex(),
        "folder": job.folder,
        "threads": threads,
    }
    queue: SimpleQueue[int] = SimpleQueue()
    for shard in waiting:
        queue.put(shard)
    told: SimpleQueue[Made | BaseException] = SimpleQueue()
    said = [_written({**plain, "spec": {**device, **job.spec}}) for device in devices]
    servants = [_Servant(job, threads, queue, told) for job in said]
    try:
        for servant in servants:
            servant.thread.start()
        for _ in waiting:
            answer = told.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        for servant in servants:
            servant.end()


class _Servant:
    """A thread that keeps one worker busy until no shard is left."""

    def __init__(self, job: str, threads: int, queue: SimpleQueue[int], told: SimpleQueue[Made | BaseException]):
        self.job, self.queue, self.told = job, queue, told
        self.environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": str(threads)}
        self.process: subprocess.Popen[str] | None = None
        self.ended = self.ready = False
        self.thread = Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        try:
            while not self.ended:
                self.told.put(self._made(self.queue.get_nowait()))
        except Empty:
            self.end()
        except BaseException as error:
            self.told.put(error)

    def _made(self, shard: int) -> Made:
        for _ in range(TRIES):
            process = self.process or self._started()
            if self.ready and (answer := self._asked(process, str(shard))):
                made = json.loads(answer)
                if FAILED in made:
                    raise ModelError(f"A worker failed over shard {shard}: {made[FAILED]}")
                return Made(**made)
            status, self.process = _buried(process), None
            if self.ended:
                raise Empty
        raise ModelError(
            f"{TRIES} workers died over shard {shard} (exit status {status}). Fewer workers need less memory; "
            "workers=1 shows what happens."
        )

    def _started(self) -> subprocess.Popen[str]:
        """A new worker, `ready` or already dead: one that was killed while it started is replaced like any other."""
        command = [sys.executable, "-c", BEGIN, *sys.path]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        process = self.process = subprocess.Popen(command, env=self.environment, **pipes)
        if self.ended:
            process.kill()
        answer = self._asked(process, self.job).strip()
        self.ready = answer == READY
        if not self.ready and (answer or _buried(process) >= 0):
            raise ModelError(f"A worker could not begin (exit status {_buried(process)}): {answer or 'see above'}")
        return process

    def _asked(self, process: subprocess.Popen[str], line: str) -> str:
        """Its answer to a line, or nothing where it has died."""
        given, taken = process.stdin, process.stdout
        if given is None or taken is None:
            return ""
        try:
            given.write(line + "\n")
            given.flush()
            answer = taken.readline()
        except (OSError, ValueError):  # closed while it was asked
            return ""
        return answer if answer.endswith("\n") else ""

    def end(self) -> None:
        """Send the worker away, if need be in the midst of its work: a shard is whole or not there."""
        self.ended = True
        if self.process is not None:
            self.process.kill()
        if self.thread.is_alive() and self.thread is not current_thread():
            self.thread.join()
        if self.process is not None:
            _buried(self.process)


def _buried(process: subprocess.Popen[str]) -> int:
    """The exit status of a worker that has died, or is about to: nothing more is said to it."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    if process.stdout is not None:
        process.stdout.close()
    return process.wait()

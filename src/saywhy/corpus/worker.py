"""A worker of a corpus: reads a job and then numbers of shards, one a line, and answers a line for each, until the input ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .jobs import Job

READY, FAILED = "ready", "failed"


def main() -> None:
    """Serve the process that began this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; who began this one ends it
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what else is printed, also by native code, must not be taken for an answer
    from ..core.errors import SaywhyError
    from .jobs import begun, made
    from .serialization import loaded

    def say(line: str) -> None:
        try:
            print(line, file=out, flush=True)
        except BrokenPipeError:  # who began this one is gone, and nobody waits for the answer
            os._exit(1)

    try:
        job = _job(loaded(sys.stdin.readline()))
        work = begun(job)
    except (SaywhyError, OSError) as error:
        say(" ".join(str(error).split()))
        sys.exit(1)
    say(READY)
    for line in sys.stdin:
        try:
            said = made(job, work, int(line))._asdict()
        except Exception as error:  # what would end a single process is told, and ends the run
            if not isinstance(error, SaywhyError):  # one of ours says all there is to say
                traceback.print_exc()
            said = {FAILED: f"{type(error).__name__}: {error}"}
        say(json.dumps(said))


def _job(plain: dict[str, Any]) -> Job:
    import torch

    from ..models.background import Background
    from .jobs import Job
    from .plan import CorpusRequest
    from .schema import arrow

    torch.set_num_threads(plain["threads"])
    pa, wanted = arrow(), plain["wanted"]
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in wanted["settings"].items()}
    if (rows := wanted["settings"].get("background")) is not None:
        settings["background"] = Background(tuple(rows["rows"]), rows["said"], rows["dtypes"])
    several = {name: None if wanted[name] is None else tuple(wanted[name]) for name in ("text", "keep")}
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(plain["schema"])))
    return Job(
        plain["spec"],
        CorpusRequest(**{**wanted, **several, "settings": settings}),
        tuple(plain["kept"]),
        frozenset(plain["typed"]),
        schema,
        Path(plain["folder"]),
    )

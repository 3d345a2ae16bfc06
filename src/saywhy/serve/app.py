"""The application: the page, and the API behind it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..core.errors import (
    FileError,
    InputError,
    MethodError,
    MissingError,
    ModelError,
    OptionError,
    SaywhyError,
    unknown,
)
from . import files
from .description import openapi
from .guard import LOOPBACK, Guard
from .jobs import WAITING, BusyError, CancelledError, Job, TimeLimitError, Worker
from .served import Served, places, without_paths
from .style import stylesheet

CLIENT = Path(__file__).parent / "client"
FILES = {"client.js": "text/javascript", "page.js": "text/javascript", "client.css": "text/css"}
PATIENCE = 10.0  # seconds that a body may take to arrive
LOOK = 0.2  # seconds between two looks whether the client is still there
STATUS = (  # the first that fits
    (BusyError, 429),
    (TimeLimitError, 504),
    (CancelledError, 409),
    (InputError, 422),
    (OptionError, 422),
    (MethodError, 422),
    (FileError, 422),
    (MissingError, 501),
)


@dataclass(frozen=True)
class Limits:
    """How much is taken on at once."""

    body: int = 8_000_000  # bytes
    seconds: float = 120.0  # that a job may run
    waiting: int = WAITING  # jobs that wait for one model


@dataclass(frozen=True, eq=False)
class Desk:
    """The models at work, and the jobs that somebody waits for."""

    models: tuple[Served, ...]
    workers: Mapping[str, Worker]  # a thread for each model
    drawer: Worker  # the thread that draws pictures and pages
    limits: Limits
    jobs: dict[str, Job] = field(default_factory=dict)

    def worker(self, name: object) -> Worker:
        """The worker of a model by its name, the first by default. Raises OptionError."""
        if name is None:
            return next(iter(self.workers.values()))
        if not isinstance(name, str) or name not in self.workers:
            raise unknown("model", name, self.workers)
        return self.workers[name]

    def said(self, error: Exception) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an error: one line, without a path, a key or a traceback."""
        kind = type(error).__name__
        foreign = error.__cause__ or error.__context__
        if isinstance(error, ModelError) and foreign is not None and not isinstance(foreign, SaywhyError):
            # such a message quotes what the model's own code raised, and that may hold anything
            message = (
                f"The model failed ({type(foreign).__name__}); the log where the server was started has the details."
            )
        elif isinstance(error, SaywhyError):
            message = without_paths(str(error), places(self.models))
        else:
            message = "Cancelled."
        status = next((status for kind_of, status in STATUS if isinstance(error, kind_of)), 500)
        return status, {"error": {"kind": kind, "message": message}}


def application(
    models: Sequence[Served],
    *,
    hosts: Sequence[str] = LOOPBACK,
    addresses: bool = False,
    token: str | None = None,
    limits: Limits = Limits(),
) -> Guard:
    """The ASGI application over these models, whose loading begins at once, each in a thread of its own.

    Parameters
    ----------
    models
        What may be explained; see `served`.
    hosts, addresses
        The names that the Host header may have, and whether it may be any address in numbers.
    token
        What the API must be shown; None lets in whoever reaches it.
    limits
        How much is taken on at once.
    """
    workers = {each.name: Worker(each.name, _subject(each), limits.waiting) for each in models}
    desk = Desk(tuple(models), workers, Worker("drawing", lambda: None, limits.waiting), limits)
    for worker in (*workers.values(), desk.drawer):
        worker.start()
    routes = [
        Route("/", _page),
        Route("/client/theme.css", _theme),
        Route("/client/{name}", _file),
        Route("/openapi.json", _openapi),
        Route("/api/models", _answering(_models), methods=["GET"]),
        Route("/api/explain", _answering(_explain), methods=["POST"]),
        Route("/api/predict", _answering(_predict), methods=["POST"]),
        Route("/api/cite", _answering(_cite), methods=["POST"]),
        Route("/api/render", _answering(_render), methods=["POST"]),
        Route("/api/jobs/{id}", _answering(_cancel), methods=["DELETE"]),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _absent, 405: _absent})
    app.state.desk = desk
    return Guard(app, frozenset(h.lower() for h in hosts), addresses, token, limits.body)


def _subject(model: Served) -> Callable[[], Any]:
    def prepare() -> object:
        from .questions import Subject, described

        subject = Subject(model.make(), model.name)
        return subject, described(subject)

    return prepare


# ---- the page ----------------------------------------------------------------------------------------------------------


async def _page(request: Request) -> Response:
    return FileResponse(CLIENT / "index.html", media_type="text/html")


async def _theme(request: Request) -> Response:
    return Response(stylesheet(), media_type="text/css")


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        return await _absent(request, None)
    return FileResponse(CLIENT / name, media_type=FILES[name])


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi())


async def _absent(request: Request, error: object) -> Response:
    status = getattr(error, "status_code", 404)
    wrong = f"{request.method} is not answered here" if status == 405 else "There is nothing here"
    kind = "MethodNotAllowed" if status == 405 else "NotFound"
    message = f"{wrong}; /openapi.json describes what there is."
    return JSONResponse({"error": {"kind": kind, "message": message}}, status, headers=getattr(error, "headers", None))


# ---- the API -----------------------------------------------------------------------------------------------------------

Handler = Callable[[Request, Desk], Awaitable[Response]]


def _answering(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler, whose errors become answers."""

    async def answer(request: Request) -> Response:
        desk: Desk = request.app.state.desk
        try:
            return await handler(request, desk)
        except ClientDisconnect:
            return Response(status_code=204)
        except (SaywhyError, CancelledError) as error:
            status, body = desk.said(error)
            return JSONResponse(body, status, {"retry-after": "2"} if status == 429 else None)

    return answer


async def _body(request: Request, most: int) -> dict[str, Any]:
    """The JSON object that was sent, if it is short enough and arrives in time."""

    async def read() -> bytes:
        parts, length = [], 0
        async for part in request.stream():
            parts.append(part)
            length += len(part)
            if length > most:
                raise InputError(f"The body is at most {most:,} bytes.")
        return b"".join(parts)

    try:
        data = json.loads(await asyncio.wait_for(read(), PATIENCE))
    except asyncio.TimeoutError:
        raise InputError(f"The body did not arrive within {PATIENCE:g} seconds.") from None
    except (ValueError, RecursionError):
        raise InputError("The body is not JSON.") from None
    if not isinstance(data, dict):
        raise OptionError("The body is a JSON object; /openapi.json describes its fields.")
    return data


async def _models(request: Request, desk: Desk) -> Response:
    """What there is; with ?wait=SECONDS once no model is loading any more, or so much later."""
    until = time.monotonic() + min(30.0, _seconds(request.query_params.get("wait", "0")))
    while time.monotonic() < until and any(w.state == "loading" for w in desk.workers.values()):
        await asyncio.sleep(0.05)
    out = []
    for model in desk.models:
        worker = desk.workers[model.name]
        about: dict[str, Any] = {"name": model.name, "state": worker.state, "code": model.code()}
        if worker.state == "ready":
            about |= worker.held[1]
        if worker.error is not None:
            about |= desk.said(_ours(worker.error))[1]
        out.append(about)
    return JSONResponse({"models": out, "limits": vars(desk.limits)})


def _seconds(given: str) -> float:
    return float(given) if given.replace(".", "", 1).isdecimal() else 0.0


async def _explain(request: Request, desk: Desk) -> Response:
    body = await _body(request, desk.limits.body)
    worker = desk.worker(body.get("model"))

    def work(held: Any, job: Job) -> object:
        from . import questions

        asked = questions.question(body, ("methods",))
        found = questions.answer(held[0], asked, job.tick, job.expect)
        for each in found.get("refused", ()):
            each["message"] = without_paths(each["message"], places(desk.models))
        return found

    return await _done(request, desk, worker, work, urgent=False)


async def _predict(request: Request, desk: Desk) -> Response:
    body = await _body(request, desk.limits.body)
    worker = desk.worker(body.get("model"))

    def work(held: Any, job: Job) -> object:
        from . import questions

        asked, absent = questions.question(body, ("absent_features",)), questions.absent_sets(body)
        return questions.predict(held[0], asked, absent, job.tick)

    return await _done(request, desk, worker, work, urgent=True)


async def _cite(request: Request, desk: Desk) -> Response:
    body = await _body(request, desk.limits.body)
    worker = desk.worker(body.get("model"))

    def work(held: Any, job: Job) -> object:
        from . import questions

        return questions.cite(held[0], body, job.tick, job.expect)

    return await _done(request, desk, worker, work, urgent=False)


async def _render(request: Request, desk: Desk) -> Response:
    """Explanations or citations that were answered, as a file of another kind."""
    body = await _body(request, desk.limits.body)
    ending = files.ending_of(body)
    job = _start(desk, desk.drawer, lambda held, job: files.content(body, "the body"), urgent=False)
    await _ended(request, desk, job)
    name = f'attachment; filename="{files.file_name(body)}"'
    return Response(_result(job), media_type=files.MEDIA[ending], headers={"content-disposition": name})


async def _cancel(request: Request, desk: Desk) -> Response:
    """What is running or waiting ends before its next batch."""
    job = desk.jobs.get(request.path_params["id"])
    if job is None:
        return JSONResponse({"error": {"kind": "NotFound", "message": "There is no such job, or it has ended."}}, 404)
    job.cancel()
    return JSONResponse({"cancelled": job.id})


# ---- waiting for a job -------------------------------------------------------------------------------------------------


def _start(desk: Desk, worker: Worker, work: Callable[[Any, Job], Any], urgent: bool) -> Job:
    """A job in the worker's queue. `changed` wakes whoever waits for it, on the event loop."""
    loop = asyncio.get_running_loop()

    def changed() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(job.event.set)

    job = Job(work, desk.limits.seconds, urgent, changed)
    worker.submit(job)
    desk.jobs[job.id] = job
    return job


async def _ended(request: Request, desk: Desk, job: Job) -> None:
    """Until the job has ended, or nobody waits for it any more, or it is stuck."""
    async for _ in _steps(request, desk, job):
        pass


async def _steps(request: Request, desk: Desk, job: Job) -> AsyncIterator[Job]:
    """The job after each change. Where the client leaves, the job is cancelled."""
    try:
        while not job.ended and not job.overdue:
            try:
                await asyncio.wait_for(job.event.wait(), LOOK)
                job.event.clear()
                yield job
            except asyncio.TimeoutError:
                if await request.is_disconnected():
                    raise ClientDisconnect from None
    finally:
        job.cancel()  # of one that has ended, nothing is left to cancel
        desk.jobs.pop(job.id, None)


def _result(job: Job) -> object:
    """What came out. Raises what went wrong."""
    if job.state == "done":
        return job.result
    if job.state == "cancelled":
        raise CancelledError
    if job.error is not None:
        raise _ours(job.error)
    raise TimeLimitError(
        f"This took longer than {job.limit:g} seconds, and the model does not let itself be interrupted."
    )


def _ours(error: Exception) -> SaywhyError:
    """The error as one of ours; what anything else says is not told."""
    if isinstance(error, SaywhyError):
        return error
    ours = ModelError("the work failed")
    ours.__cause__ = error
    return ours


async def _done(
    request: Request, desk: Desk, worker: Worker, work: Callable[[Any, Job], Any], urgent: bool
) -> Response:
    """The job's result as JSON; or, where the client accepts server-sent events, its progress and then the result."""
    job = _start(desk, worker, work, urgent)
    if "text/event-stream" in request.headers.get("accept", ""):
        return StreamingResponse(_events(request, desk, worker, job), media_type="text/event-stream")
    await _ended(request, desk, job)
    return JSONResponse(_result(job))


async def _events(request: Request, desk: Desk, worker: Worker, job: Job) -> AsyncIterator[str]:
    """The events `job`, `progress` and `result` or `error`, each with JSON."""
    yield _event("job", {"id": job.id, "waiting": max(0, worker.waiting - 1), "model": worker.state})
    told = 0.0
    async for each in _steps(request, desk, job):
        if not each.ended and time.monotonic() - told > 0.1:
            told = time.monotonic()
            yield _event("progress", {"state": each.state, "rows": each.rows, "expected": each.expected})
    try:
        yield _event("result", _result(job))
    except (SaywhyError, CancelledError) as error:
        yield _event("error", desk.said(error)[1]["error"])


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

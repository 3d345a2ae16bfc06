"""Requests to one server: many at once over one pool of connections, with time-outs, retries, and a key that stays."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from ...core.errors import MissingError, ModelError, OptionError

if TYPE_CHECKING:
    from types import ModuleType

    import httpx2

RETRIED = (408, 425, 429, 500, 502, 503, 504, 529)  # what a busy server says, and what a broken one may recover from
LARGEST = 64 * 2**20  # bytes of one answer; the log-probabilities of a prompt of 100,000 tokens are a fifth of it
LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for
REDIRECTS = 3


@dataclass(frozen=True)
class Call:
    """One request: a path below the server's address (`root`: below its host), and what is posted; None asks by GET."""

    path: str
    body: Mapping[str, Any] | None = None
    root: bool = False
    probe: bool = False  # is a fault of the server an answer, because it is asked what it can do?

    @property
    def digest(self) -> str:
        """The same for the same request, and only then."""
        told = json.dumps([self.path, self.root, self.body], sort_keys=True, ensure_ascii=False)
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


class Refused(ModelError):  # noqa: N818
    """The server answered that it will not do this; `status` is its HTTP status."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class _Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def http_package() -> ModuleType:
    """httpx2, which huggingface_hub brings, or httpx where that is absent."""
    try:
        return import_module("httpx2")
    except ImportError:
        pass
    try:
        return import_module("httpx")
    except ImportError:
        raise MissingError(
            "A served model needs the package 'httpx2' or 'httpx', and neither is installed: pip install httpx2"
        ) from None


def checked_url(url: object) -> str:
    """The address without a slash at its end. Raises OptionError for another scheme, and for an address with a key in it."""
    text = url.strip().rstrip("/") if isinstance(url, str) else ""
    try:
        parts = urlsplit(text)
        sound = (
            parts.scheme in ("http", "https") and parts.netloc.isascii() and parts.port != 0 and bool(parts.hostname)
        )
    except ValueError:  # of a port or an address in brackets
        sound = False
    if not sound:
        raise OptionError(f"A server is an address such as http://localhost:8080/v1, not {url!r:.80}.")
    if "@" in parts.netloc or parts.query or parts.fragment:  # names and logs would show what stands there
        raise OptionError("A server's address holds no name, key or query: give a key as Server(url, key=…).")
    return text


def local(url: str) -> bool:
    """Is the server on this machine?"""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


# ---- one event loop in a thread of its own: callers may have a loop running themselves, as notebooks do --------------

_LOOPS: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a fork has no threads
_STARTING = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _STARTING:
        if os.getpid() not in _LOOPS:
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="saywhy-requests", daemon=True).start()
            _LOOPS[os.getpid()] = made
        return _LOOPS[os.getpid()]


def _after_fork() -> None:
    global _STARTING
    _STARTING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _close(loop: asyncio.AbstractEventLoop, pool: httpx2.AsyncClient, process: int) -> None:
    if process == os.getpid() and loop.is_running():
        asyncio.run_coroutine_threadsafe(pool.aclose(), loop)


class Client:
    """Sends requests to one server, at most `concurrency` at once.

    Parameters
    ----------
    url
        The address, which may end in /v1.
    key
        Sent as a bearer token to that address alone; it is in no message.
    timeout
        Seconds that one try may take.
    concurrency
        How many requests are under way at once.
    retries, wait
        How often a request is tried again after 429, a fault of the server (5xx) or a cut connection, and the seconds before
        the first of these, twice as many each time; what the server says in Retry-After goes before.
    """

    def __init__(
        self, url: str, key: str | None, timeout: float, concurrency: int = 8, retries: int = 6, wait: float = 0.5
    ):
        self.url, self.timeout, self.concurrency = url, timeout, concurrency
        self.retries, self.wait = retries, wait
        self._key = key
        self._reached = False  # did the server ever answer? If not, a refused connection is a wrong address
        self._state: tuple[int, Any, asyncio.Semaphore] | None = None  # process, pool, gate

    @property
    def root(self) -> str:
        """The address without /v1: servers have calls of their own there."""
        return self.url.removesuffix("/v1")

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_state": None}  # a pool of connections belongs to its process

    def ask(self, call: Call) -> Any:
        """The answer to one request, as JSON. Raises ModelError."""
        found: list[Any] = []
        self.send([call], lambda _, answer: found.append(answer))
        return found[0]

    def send(self, calls: Sequence[Call], done: Callable[[int, Any], None]) -> None:
        """Send all, in their order, `concurrency` at once; `done(i, answer)` is called, one at a time, as answers come.

        Where one fails for good no further ones are sent, and those under way are waited for, because they are paid for; on
        Ctrl-C they are cancelled. Raises ModelError.
        """
        if not calls:
            return
        running: Future[None] = asyncio.run_coroutine_threadsafe(self._all(calls, done), _loop())
        try:
            running.result()
        except BaseException:
            running.cancel()
            raise

    async def _all(self, calls: Sequence[Call], done: Callable[[int, Any], None]) -> None:
        pool, gate = self._pool()
        failed: list[Exception] = []

        async def one(i: int) -> None:
            async with gate:
                if failed:
                    return
                try:
                    done(i, await self._answer(pool, calls[i], failed))
                except Exception as error:
                    failed.append(error)

        tasks = [asyncio.ensure_future(one(i)) for i in range(len(calls))]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        if failed:
            raise failed[0]

    def _pool(self) -> tuple[Any, asyncio.Semaphore]:
        if self._state is None or self._state[0] != os.getpid():
            http = http_package()
            pool = http.AsyncClient(
                timeout=http.Timeout(self.timeout),
                limits=http.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency),
                follow_redirects=False,
                trust_env=not local(self.url),  # a proxy cannot reach this machine
            )
            self._state = (os.getpid(), pool, asyncio.Semaphore(self.concurrency))
            weakref.finalize(self, _close, _loop(), pool, os.getpid())
        return self._state[1], self._state[2]

    async def _answer(self, pool: object, call: Call, stopped: Sequence[Exception]) -> object:
        http, tried = http_package(), 0
        while True:
            wait = min(LONGEST_WAIT, self.wait * 2**tried)
            try:
                reply = await self._reply(pool, call)
            except http.DecodingError as error:
                raise ModelError(f"the server at {self.url} sends an answer that cannot be unpacked: {error}") from None
            except http.TransportError as error:
                what = "in time" if isinstance(error, http.TimeoutException) else f"({type(error).__name__})"
                said = self._clean(str(error)) or "no reason given"
                problem = ModelError(f"no server answers at {self.url} {what}: {said}")
                if not self._reached and isinstance(error, http.ConnectError):
                    raise problem from None
            else:
                self._reached = True
                if 200 <= reply.status < 300:
                    return self._json(reply.body)
                problem = self._refusal(reply)
                if reply.status not in RETRIED or (call.probe and reply.status != 429):
                    raise problem
                wait = min(LONGEST_WAIT, _retry_after(reply.headers) or wait)
            if tried == self.retries or stopped:
                raise ModelError(f"{problem} ({tried + 1} tries)") if tried else problem
            tried += 1
            await asyncio.sleep(wait)

    async def _reply(self, pool: Any, call: Call) -> _Reply:
        address = f"{self.root if call.root else self.url}/{call.path}"
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        for _ in range(REDIRECTS + 1):
            settings = {} if call.body is None else {"json": dict(call.body)}
            async with pool.stream("GET" if call.body is None else "POST", address, headers=headers, **settings) as got:
                if not 300 <= got.status_code < 400:
                    return _Reply(got.status_code, got.headers, await self._body(got))
                there = got.headers.get("location", "")
            try:
                there = urljoin(address, there)
                elsewhere = urlsplit(there)[:2] != urlsplit(address)[:2]
            except ValueError:  # no address at all
                elsewhere = True
            if elsewhere:
                raise ModelError(
                    f"the server at {self.url} sends requests on to another address, {there:.200}, which is not followed: "
                    "prompts and keys would go there. Give that address, if it is the right one."
                )
            address, headers = there, {}  # a key is for the address that was given
        raise ModelError(f"the server at {self.url} answers with one redirect after the other.")

    async def _body(self, got: httpx2.Response) -> bytes:
        out = bytearray()
        async for piece in got.aiter_bytes():
            out += piece
            if len(out) > LARGEST:
                raise ModelError(
                    f"the server at {self.url} sends an answer of more than {LARGEST >> 20} MiB, and was cut off."
                )
        return bytes(out)

    def _json(self, body: bytes) -> object:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            shown = self._clean(body[:80].decode(errors="replace"))
            raise ModelError(
                f"the server at {self.url} answered something that is no JSON: {shown!r}. Is the address right? It ends in "
                "/v1 for servers that speak as OpenAI's does."
            ) from None

    def _refusal(self, reply: _Reply) -> Refused:
        words = self._clean(_words_of(reply.body)) or "nothing more"
        hint = " Give the key as Server(url, key=…) or with --key-file." if reply.status in (401, 403) else ""
        return Refused(f"the server at {self.url} answered {reply.status}: {words}{hint}", reply.status)

    def _clean(self, text: str) -> str:
        """A server's words without the key, which some repeat."""
        return text.replace(self._key, "[key]") if self._key else text


def _words_of(body: bytes) -> str:
    """What an error says: the message of the usual forms, else the beginning of the body."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return body[:300].decode(errors="replace")
    for name in ("error", "message", "detail"):
        told = told.get(name, told) if isinstance(told, dict) else told
    return str(told)[:300]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number of them or a date."""
    told = headers.get("retry-after")
    if not told:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):  # no date, or none that there is
        return None

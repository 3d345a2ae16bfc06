"""The server as a process: the address it listens on, and what is said where it was started."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..core import collector
from ..core.errors import OptionError, missing
from .guard import LOOPBACK

if TYPE_CHECKING:
    from .jobs import Worker
    from .served import Served


def loopback(host: str) -> bool:
    """Is this host reached from this machine alone?"""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def run(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    allow_hosts: Sequence[str] = (),
    seconds: float = 120.0,
    waiting: int = 16,
    trust_remote_code: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Listen until it is stopped (Ctrl-C). The models are loaded while the page opens already.

    Raises
    ------
    OptionError
        For a host that others reach, without a token; for a token that no header can show; for a port that is taken.
    SaywhyError
        Where not one of the models can be loaded, what was wrong with the first.
    MissingError
        Without starlette and uvicorn.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise missing(error.name or "starlette", "saywhy serve", "serve") from None
    from .app import Limits, application
    from .served import served

    wide = not loopback(host)
    _refuse_token(host, token)
    known, listening = served(models, trust_remote_code), _listening(host, port)
    hosts = [*LOOPBACK, *allow_hosts, *((host, socket.gethostname()) if wide else ())]
    limits = Limits(seconds=seconds, waiting=waiting)
    app = application(known, hosts=hosts, addresses=wide, token=token, limits=limits)
    _announce(known, host, listening.getsockname()[1], token, say)
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
    config = uvicorn.Config(app, **quiet, timeout_keep_alive=10, limit_concurrency=200, timeout_graceful_shutdown=2)
    server, workers = uvicorn.Server(config), tuple(cast("Any", app.app).state.desk.workers.values())
    _watch(workers, server, say)
    with listening:
        server.run(sockets=[listening])
    if errors := _all_failed(workers):
        raise errors[0]


def _refuse_token(host: str, token: str | None) -> None:
    """Refuses other machines without a token, and a token that no header can show. Raises OptionError."""
    if not loopback(host) and not token:
        raise OptionError(
            f"--host {host} lets other machines ask this server: give it a --token that they must show, or leave out --host."
        )
    if token is not None and not (token.isascii() and token.isprintable() and token == token.strip() != ""):
        raise OptionError(
            "A token is of ASCII letters, digits and signs, without blanks around it: no header shows another."
        )


def _announce(models: Sequence[Served], host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Where the page is. The token stands after the #, which a browser sends to nobody."""
    if not loopback(host):
        say(f"Warning: {host} lets other machines ask this server, over a connection that is not encrypted.")
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}/{f'#token={token}' if token else ''}"
    say(f"saywhy explains {', '.join(model.name for model in models)} at {place} (Ctrl-C stops it)")


def _watch(workers: Sequence[Worker], server: Any, say: Callable[[str], None]) -> None:
    """Says which models could not be loaded; where none could, the server ends.

    No garbage is collected while they load: looking for it again and again takes a fifth of that time.
    """

    def wait() -> None:
        for worker in workers:
            worker.prepared.wait()
        collector.resume()
        if _all_failed(workers):
            server.should_exit = True
            return
        for worker in workers:
            if worker.error is not None:
                say(f"{worker.name} could not be loaded: {worker.error}")

    collector.pause()
    threading.Thread(target=wait, daemon=True).start()


def _all_failed(workers: Sequence[Worker]) -> list[Exception]:
    """Why no model could be loaded; empty where one was, or may still be."""
    errors = [worker.error for worker in workers if worker.error is not None]
    return errors if len(errors) == len(workers) else []


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there, before any model is loaded. Raises OptionError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # from now on a browser waits; it is not refused
    except OSError as error:
        raise OptionError(
            f"Nothing can listen at {host}, port {port}: {error.strerror or error}. Choose another --port, or 0 for a free one."
        ) from None
    return listening

"""What every request must pass: who is asked (Host), from which page (Origin), by whom (the token), and how much is sent."""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scope: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[MutableMapping[str, Any]]]"
Send: TypeAlias = "Callable[[MutableMapping[str, Any]], Awaitable[None]]"
App: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Guard:
    """An ASGI application that asks another one only what is allowed.

    Another site's page cannot ask: its Origin is another one, and where it has had its own name resolve to this machine
    (DNS rebinding), the Host header still says that name.
    """

    app: App
    hosts: frozenset[str]  # names in the Host header, in lower case
    addresses: bool = False  # is any address in numbers taken too? For a server that listens on all of them
    token: str | None = None  # what the API must be shown, where it is reached from elsewhere
    most: int = 8_000_000  # bytes of a body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no web sockets here
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self.refusal(scope["method"], scope["path"], headers)

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in HEADERS}
                kept = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        if refused is not None:
            await _refuse(sent, *refused)
            return
        await self.app(scope, receive, sent)

    def refusal(self, method: str, path: str, headers: MutableMapping[str, str]) -> tuple[int, str] | None:
        """The status and the message for a request that is refused; None for one that may pass."""
        host = headers.get("host", "")
        if not self._known(host):
            return 421, "This server is not called by that name (Host header); start it with --allow-host NAME."
        if not path.startswith("/api/"):
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if (origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")) or (
            site not in ("same-origin", "none")
        ):
            return 403, "Pages of other sites may not ask this server (Origin header)."
        if self.token is not None:
            shown = headers.get("authorization", "")
            if not hmac.compare_digest(shown.encode(), f"Bearer {self.token}".encode()):
                return 401, "This server needs its token: the header Authorization: Bearer TOKEN."
        if method == "POST" and headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return 415, "The body is JSON: send Content-Type: application/json."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            return 413, f"The body is at most {self.most:,} bytes."
        return None

    def _known(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in self.hosts:
            return True
        try:
            return self.addresses and bool(ipaddress.ip_address(name))
        except ValueError:
            return False


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": {"kind": "Refused", "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Who may ask the studio anything: the browser that was given the address with the token, from pages of the studio itself.

An ASGI layer around everything: the Host header (a page elsewhere whose name was made to point here has another one), the
token or the cookie that it is exchanged for, the Origin of whatever changes something, and the headers that forbid pages any
script, style or address but the studio's own. Not for paths: `places`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; frame-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
STILL = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; "
    "frame-ancestors 'self'"
)
"""For pages that lie in run folders (reports): no script at all, an origin of their own."""
LARGEST_BODY = 1 << 20  # bytes of a request that is no upload
SAFE = ("GET", "HEAD")
PAGE = re.compile(r"[a-z]+(\?name=[\w.%-]+)?")  # that the address may open at


class Guard:
    """app: what it guards. hosts: values of the Host header that are this server. token: exchanged for a cookie `name`."""

    def __init__(self, app: Any, *, hosts: tuple[str, ...], token: str, name: str) -> None:
        self.app, self.hosts, self.token, self.name = app, hosts, token, name
        self.session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if headers.get("host", "").lower() not in self.hosts:
            await plain(send, 421, "this address is not the studio's")
            return
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0].encode()
        if scope["path"] == "/" and scope["method"] == "GET" and hmac.compare_digest(asked, self.token.encode()):
            to = parse_qs(scope["query_string"].decode("latin-1")).get("open", [""])[0]
            await self._enter(send, to if PAGE.fullmatch(to) else "")
            return
        if not self._known(headers.get("cookie", "")):
            await plain(send, 403, "open the address that  ganvas studio  printed: it holds the token")
            return
        if scope["method"] not in SAFE and not self._from_here(headers):
            await plain(send, 403, "another page may not do this")
            return
        await self.app(scope, receive, lambda message: send(_guarded(message)))

    def _known(self, text: str) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(text)
        except Exception:  # whatever odd text makes of it
            return False
        given = cookies.get(self.name)
        return given is not None and hmac.compare_digest(given.value.encode(), self.session.encode())

    def _from_here(self, headers: dict[str, str]) -> bool:
        """Whether a page of the studio asks: what changes something has its origin, and a header that no form can send."""
        origin = headers.get("origin", "")
        return origin in {f"http://{host}" for host in self.hosts} and "x-studio" in headers

    async def _enter(self, send: Send, to: str) -> None:
        # A page that goes on by itself: after a redirect from elsewhere, a strict cookie would be held back.
        page = (
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/{to and f"#/{to}"}">'
            "<title>ganvas studio</title>"
        ).encode()
        cookie = f"{self.name}={self.session}; Path=/; HttpOnly; SameSite=Strict"
        headers = [
            (b"content-type", b"text/html; charset=utf-8"), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"), (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})


def _guarded(message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if message["type"] != "http.response.start":
        return message
    headers = list(message.get("headers", []))
    there = {key.lower() for key, _ in headers}
    wanted = {
        b"content-security-policy": POLICY.encode(),
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-resource-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"cache-control": b"no-store",
    }
    headers += [(key, value) for key, value in wanted.items() if key not in there]
    return {**message, "headers": headers}


async def plain(send: Send, status: int, text: str) -> None:
    """A line of text as an answer."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode() + b"\n"})

"""Raw HTTP requests that no client library would send."""

import contextlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """A response.

    Attributes:
        status: 0 if the server closed the connection without a response.
        headers: names in lower case.
        body: the part that was read.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    url: str,
    method: str,
    path: str,
    headers: Headers = (),
    body: bytes = b"",
    *,
    version: str = "1.1",
    host: str | None = "",
) -> bytes:
    """Return a request's bytes.

    Args:
        url: the app's address.
        method: of the request.
        path: of the request line; any Latin-1 text.
        headers: names and values.
        body: of the request.
        version: of HTTP.
        host: the Host header; "" for the right one, None for none.
    """
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host or urlsplit(url).netloc}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def send(url: str, data: bytes, seconds: float = 10.0, most: int = 1 << 20) -> Reply:
    """Send bytes; read the response to its end, or the beginning of an event stream."""
    parts = urlsplit(url)
    got = b""
    with socket.create_connection((parts.hostname, parts.port), 10) as raw:
        raw.settimeout(seconds)
        with contextlib.suppress(OSError):
            raw.sendall(data)
            while len(got) < most and b"text/event-stream" not in got:
                piece = raw.recv(65536)
                if not piece:
                    break
                got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    status = int(first.split()[1]) if first.startswith("HTTP/") else 0
    return Reply(status, {k.lower(): v.strip() for k, _, v in pairs}, body)


def ask(url: str, method: str, path: str, headers: Headers = (), body: bytes = b"", **how) -> Reply:
    """Send a request; see `request`."""
    return send(url, request(url, method, path, headers, body, **how))


def post(url: str, path: str, call: object, headers: Headers = ()) -> Reply:
    """Post JSON, or bytes as they are."""
    body = call if isinstance(call, bytes) else json.dumps(call).encode()
    kind = () if any(name == "Content-Type" for name, _ in headers) else JSON
    return ask(url, "POST", path, (*kind, *headers), body)


JSON = (("Content-Type", "application/json"),)

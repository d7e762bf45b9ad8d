"""Cross-site checks, and the page's own address as seen by the client.

A browser reports in `Sec-Fetch-Site` whether a page of this site sent the request. Where that is
missing (plain HTTP from another machine), its `Origin`, or else its `Referer`, is compared with the
requested host. Programs send none of these and are allowed. Headers that a proxy adds
(`X-Forwarded-Host` and the like) count only with `--behind-proxy` and never reach Gradio:
`internal_scope` passes it the page's address.
"""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from page.requests.request_body import HttpError

Scope = dict[str, Any]

FOREIGN = "Requests from another site's page are refused. Open this page itself, or use a program."
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?")
_PREFIX = re.compile(r"(/[\w.~-]{1,64}){1,8}", re.ASCII)
_FOLDER = re.compile(r"(/[\w.~%+@-]*)*", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_FORWARDED = frozenset(
    b"forwarded via x-real-ip x-client-ip x-cluster-client-ip x-original-host x-original-url "
    b"x-rewrite-url x-gradio-server cf-connecting-ip cf-ray true-client-ip fly-client-ip".split()
)
# Gradio would grant any origin, and it mishandles ranges (see `file_routes`).
_WITHHELD = frozenset((b"host", b"origin", b"range", b"if-range"))


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header's first value, or None."""
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), None)


def is_forwarding(name: bytes) -> bool:
    """Return whether proxies add this header (name in lower case)."""
    return name.startswith(b"x-forwarded") or name in _FORWARDED


def requested_host(scope: Scope, behind_proxy: bool) -> str | None:
    """Return the requested host, with its port if it has one; None if the request has no host.

    Args:
        scope: the request.
        behind_proxy: trust `X-Forwarded-Host`.

    Raises:
        HttpError: the header is not a host.
    """
    forwarded = header(scope, b"x-forwarded-host") if behind_proxy else None
    host = forwarded.split(",")[0].strip() if forwarded else header(scope, b"host")
    if not host:
        return None
    match = _HOST.fullmatch(host)
    if match is None or int(match[2] or 1) > 65535:
        raise HttpError(400, "The Host header names no host.")
    return host.lower()


def check_origin(scope: Scope, path: str, *, behind_proxy: bool, framed: bool) -> None:
    """Refuse a request of another site's page, except a link that opens the page.

    Args:
        scope: the request.
        path: the requested path.
        behind_proxy: see `requested_host`.
        framed: other sites may show the page in a frame.

    Raises:
        HttpError: another site's page sent the request, or the Host header is not a host.
    """
    host = requested_host(scope, behind_proxy)
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none") or _opens_the_page(scope, path, framed):
            return
        raise HttpError(403, FOREIGN)
    origin, referer = header(scope, b"origin"), header(scope, b"referer")
    if origin is not None:
        if not _has_host(origin, host):
            raise HttpError(403, FOREIGN)
    elif referer and path != "/" and not _has_host(referer, host):
        raise HttpError(403, FOREIGN)


def page_root(scope: Scope, path: str, behind_proxy: bool) -> str:
    """Return the page's address for links in the response, without a trailing slash.

    For a browser it is taken from the Referer; without one, and for the page itself, it is "."
    (relative to the page). For a program it is built from the requested host; in the configuration
    it is "/", which Gradio's client replaces by the address that it was given.
    """
    if path == "/":
        return "."
    if path.rstrip("/") == "/config":
        return "/"
    if referer := header(scope, b"referer"):
        parts = _split(referer)
        folder = parts.path.rpartition("/")[0] if parts else ""
        if parts and parts.scheme in _PORTS and _HOST.fullmatch(parts.netloc):
            return f"{parts.scheme}://{parts.netloc}{folder}" if _FOLDER.fullmatch(folder) else "."
    if header(scope, b"sec-fetch-site") or header(scope, b"origin"):
        return "."
    return page_address(scope, behind_proxy)


def page_address(scope: Scope, behind_proxy: bool) -> str:
    """Return the page's absolute address by the requested host, without a slash at its end.

    Args:
        scope: the request.
        behind_proxy: whether X-Forwarded-Host, -Proto and -Prefix are trusted.

    Raises:
        HttpError: the Host header is invalid.
    """
    host = requested_host(scope, behind_proxy)
    if host is None:
        server = scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else server[0]
    scheme, prefix = scope.get("scheme", "http"), ""
    if behind_proxy:
        forwarded = (header(scope, b"x-forwarded-proto") or "").split(",")[0].strip()
        scheme = forwarded if forwarded in _PORTS else scheme
        forwarded = (header(scope, b"x-forwarded-prefix") or "").rstrip("/")
        prefix = forwarded if _PREFIX.fullmatch(forwarded) else ""
    return f"{scheme}://{host}{prefix}"


def internal_scope(scope: Scope, root: str) -> Scope:
    """Return the request for Gradio: without proxies' headers, with the page's address."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in _WITHHELD and not is_forwarding(name)
    ]
    headers += [(b"host", b"localhost"), (b"x-gradio-server", root.encode("latin-1"))]
    return {**scope, "headers": headers}


def is_local(scope: Scope) -> bool:
    """Return whether the request comes from this machine and through no proxy."""
    client = scope.get("client")
    if not client or not is_loopback(client[0]):
        return False
    if any(is_forwarding(name) for name, _ in scope["headers"]):
        return False
    hosts = [header(scope, b"host")]
    for name in (b"origin", b"referer"):
        if value := header(scope, name):
            parts = _split(value)
            hosts.append(parts.netloc if parts else "")
    return all(_is_loopback_host(host) for host in hosts)


def is_loopback(host: str) -> bool:
    """Return whether an address or a name is a loopback one."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return False


def _is_loopback_host(host: str | None) -> bool:
    match = _HOST.fullmatch(host or "")
    return bool(match) and is_loopback(match[1])


def _opens_the_page(scope: Scope, path: str, framed: bool) -> bool:
    """Return whether a link on another site opens the page, or a frame where allowed."""
    destinations = ("document", "iframe", "frame") if framed else ("document",)
    return (
        path == "/"
        and scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == "navigate"
        and header(scope, b"sec-fetch-dest") in destinations
    )


def _has_host(address: str, host: str | None) -> bool:
    """Return whether a URL's host and port are these; a missing port is the scheme's default."""
    parts = _split(address)
    if parts is None or host is None or parts.scheme not in _PORTS:
        return False
    match = _HOST.fullmatch(parts.netloc)
    own = _HOST.fullmatch(host)
    if match is None or own is None or match[1].lower() != own[1].lower():
        return False
    default = _PORTS[parts.scheme]
    return int(match[2] or default) == int(own[2] or default)


def _split(address: str) -> Any:
    try:
        return urlsplit(address)
    except ValueError:
        return None

"""Where a request comes from: whether another site's page sent it, and by which address.

A browser says in `Sec-Fetch-Site` whether the page that asks is of this site; where it says nothing
(over plain HTTP from another machine) its `Origin`, or else its `Referer`, is compared with the
host that was asked. Programs send none of these and are let in. What a proxy adds
(`X-Forwarded-Host` and the like) is believed only where the owner says so, and never reaches
Gradio: it gets the page's address from here.
"""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from page.requests.request_body import HttpError

Scope = dict[str, Any]

FOREIGN = "This address answers only the page itself and programs, not another site's page."
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?")
_PREFIX = re.compile(r"(/[\w.~-]{1,64}){1,8}", re.ASCII)
_FOLDER = re.compile(r"(/[\w.~%+@-]*)*", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_FORWARDED = frozenset(
    b"forwarded via x-real-ip x-client-ip x-cluster-client-ip x-original-host x-original-url "
    b"x-rewrite-url x-gradio-server cf-connecting-ip cf-ray true-client-ip fly-client-ip".split()
)
# The origin is checked here: Gradio would grant any of them. A file's ranges are served here.
_KEPT_BACK = frozenset((b"host", b"origin", b"range", b"if-range"))


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's value, the first where there are several; None where there is none."""
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), None)


def is_forwarding(name: bytes) -> bool:
    """Whether a header (its name in small letters) is one that proxies add."""
    return name.startswith(b"x-forwarded") or name in _FORWARDED


def own_host(scope: Scope, behind_proxy: bool) -> str | None:
    """The host that was asked, with its port if it has one; None where none is named.

    Args:
        scope: the request.
        behind_proxy: whether `X-Forwarded-Host` is to be believed.

    Raises:
        RefusedError: the header is no host.
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
    """Refuse what another site's page asks, but for opening the page itself.

    Args:
        scope: the request.
        path: what is asked for.
        behind_proxy: see `own_host`.
        framed: other sites may show the page in a frame.

    Raises:
        RefusedError: another site's page asks, or the Host header is no host.
    """
    host = own_host(scope, behind_proxy)
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        if site in ("same-origin", "none") or _opens_the_page(scope, path, framed):
            return
        raise HttpError(403, FOREIGN)
    origin, referer = header(scope, b"origin"), header(scope, b"referer")
    if origin is not None:
        if not _is_of(origin, host):
            raise HttpError(403, FOREIGN)
    elif referer and path != "/" and not _is_of(referer, host):
        raise HttpError(403, FOREIGN)


def root_of(scope: Scope, path: str, behind_proxy: bool) -> str:
    """The address of the page, as what it sends names it: without a slash at the end.

    A browser gets it as it sees it itself, from its Referer; where it does not send one, and for
    the page, "." (relative to the page). A program gets it by the host that it asked; in the
    configuration "/", and then its client puts in the address that it was given.
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
    return address_of(scope, behind_proxy)


def address_of(scope: Scope, behind_proxy: bool) -> str:
    """Return the page's absolute address by the host that was asked, without a slash at its end.

    Args:
        scope: The request.
        behind_proxy: Whether X-Forwarded-Host, -Proto and -Prefix are believed.

    Raises:
        HttpError: The Host header is no host.
    """
    host = own_host(scope, behind_proxy)
    if host is None:
        server = scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else server[0]
    scheme, prefix = scope.get("scheme", "http"), ""
    if behind_proxy:
        told = (header(scope, b"x-forwarded-proto") or "").split(",")[0].strip()
        scheme = told if told in _PORTS else scheme
        told = (header(scope, b"x-forwarded-prefix") or "").rstrip("/")
        prefix = told if _PREFIX.fullmatch(told) else ""
    return f"{scheme}://{host}{prefix}"


def inward(scope: Scope, root: str) -> Scope:
    """The request as Gradio gets it: without what proxies add, and with the page's address."""
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if name not in _KEPT_BACK and not is_forwarding(name)
    ]
    ours = [(b"host", b"localhost"), (b"x-gradio-server", root.encode("latin-1"))]
    return {**scope, "headers": [*kept, *ours]}


def is_at_home(scope: Scope) -> bool:
    """Whether somebody at this very machine asks, and no proxy hands the request on."""
    client = scope.get("client")
    if not client or not is_loopback(client[0]):
        return False
    if any(is_forwarding(name) for name, _ in scope["headers"]):
        return False
    named = [header(scope, b"host")]
    for name in (b"origin", b"referer"):
        if value := header(scope, name):
            parts = _split(value)
            named.append(parts.netloc if parts else "")
    return all(_names_loopback(host) for host in named)


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own, for itself alone."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return False


def _names_loopback(host: str | None) -> bool:
    match = _HOST.fullmatch(host or "")
    return bool(match) and is_loopback(match[1])


def _opens_the_page(scope: Scope, path: str, framed: bool) -> bool:
    """Whether a link elsewhere is followed to the page, or its frame is filled where allowed."""
    places = ("document", "iframe", "frame") if framed else ("document",)
    return (
        path == "/"
        and scope["method"] in ("GET", "HEAD")
        and header(scope, b"sec-fetch-mode") == "navigate"
        and header(scope, b"sec-fetch-dest") in places
    )


def _is_of(address: str, host: str | None) -> bool:
    """Whether an address (an origin, or a page's) is of a host; both with their ports."""
    parts = _split(address)
    if parts is None or host is None or parts.scheme not in _PORTS:
        return False
    match = _HOST.fullmatch(parts.netloc)
    own = _HOST.fullmatch(host)
    if match is None or own is None or match[1].lower() != own[1].lower():
        return False
    usual = _PORTS[parts.scheme]
    return int(match[2] or usual) == int(own[2] or usual)


def _split(address: str) -> Any:
    try:
        return urlsplit(address)
    except ValueError:
        return None

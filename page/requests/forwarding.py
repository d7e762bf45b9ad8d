"""Login check, and forwarding a request with another body."""

from http.cookies import CookieError, SimpleCookie

from page.gradio_internals import is_logged_in, requires_login
from page.requests.origin import Scope, header
from page.requests.request_body import Message, Receive


def is_authenticated(scope: Scope) -> bool:
    """Return whether the visitor has logged in, or the page has no password."""
    app = scope.get("app")
    if not requires_login(app):
        return True
    cookies = SimpleCookie()
    try:
        cookies.load(header(scope, b"cookie") or "")
    except CookieError:
        return False
    return is_logged_in(app, cookies)


def with_body(scope: Scope, data: bytes, kind: bytes | None = b"application/json") -> Scope:
    """Return the request's scope for another body; `kind` None leaves its content type."""
    replaced = [b"content-length", b"transfer-encoding"] + [b"content-type"] * (kind is not None)
    headers = [(k, v) for k, v in scope["headers"] if k not in replaced]
    headers += [(b"content-length", b"%d" % len(data))]
    headers += [(b"content-type", kind)] if kind is not None else []
    return {**scope, "headers": headers}


def replay(data: bytes, then: Receive) -> Receive:
    """Return a receiver that yields a body already read, and then the connection's messages."""
    remaining = [data]

    async def receive() -> Message:
        if remaining:
            return {"type": "http.request", "body": remaining.pop(), "more_body": False}
        return await then()

    return receive

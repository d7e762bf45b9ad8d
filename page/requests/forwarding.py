"""Requests as the guard passes them on: with another body, and from whom."""

from http.cookies import CookieError, SimpleCookie

from page.gradio_internals import asks_for_password, is_logged_in
from page.requests.origin import Scope, header
from page.requests.request_body import Message, Receive


def is_known(scope: Scope) -> bool:
    """Whether the visitor has logged in, where that is asked for."""
    app = scope.get("app")
    if not asks_for_password(app):
        return True
    cookies = SimpleCookie()
    try:
        cookies.load(header(scope, b"cookie") or "")
    except CookieError:
        return False
    return is_logged_in(app, cookies)


def holding(scope: Scope, data: bytes, kind: bytes | None = b"application/json") -> Scope:
    """The request with another body; with its own content type where `kind` is None."""
    replaced = [b"content-length", b"transfer-encoding"] + [b"content-type"] * (kind is not None)
    headers = [(k, v) for k, v in scope["headers"] if k not in replaced]
    headers += [(b"content-length", b"%d" % len(data))]
    headers += [(b"content-type", kind)] if kind is not None else []
    return {**scope, "headers": headers}


def replay(data: bytes, then: Receive) -> Receive:
    """A body that has been read already, and after it the connection as it is."""
    left = [data]

    async def receive() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await then()

    return receive

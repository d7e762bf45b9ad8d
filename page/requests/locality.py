"""Whether a request comes from this machine, available wherever the request is handled.

It is a context variable, which the threads of a request inherit. Only requests from this machine
may download weights and get the full reason of a failure.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from page.options import Options, on_a_space
from page.requests.origin import is_loopback

_at_home: ContextVar[bool] = ContextVar("pixelwise_at_home", default=True)
KEY = "pixelwise.at_home"
"""The key in a request's scope."""


def asked_at_home() -> bool:
    """Return whether the current request comes from this machine; True outside of requests."""
    return _at_home.get()


@contextmanager
def request_locality(scope: dict[str, Any]) -> Iterator[None]:
    """Set what `asked_at_home` returns while a request is handled.

    Args:
        scope: the request's scope, as `AccessMiddleware` forwards it.
    """
    token = _at_home.set(bool(scope.get(KEY)))
    try:
        yield
    finally:
        _at_home.reset(token)


def is_alone(options: Options) -> bool:
    """Return whether a page with these options can be reached from this machine only."""
    if options.shared or on_a_space():
        return False
    return is_loopback(options.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1")

"""Whether the one who asks sits at this machine: known wherever a request is worked on.

It travels as a context variable, into the threads that work for a request too. Who may fetch
weights and who reads the reason for a failure depends on it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from page.options import Options, on_a_space
from page.requests.origin import is_at_home, is_loopback

_at_home: ContextVar[bool] = ContextVar("pixelwise_at_home", default=True)
KEY = "pixelwise.at_home"
"""The entry of a request's scope."""


def asked_at_home() -> bool:
    """Whether the request that is worked on comes from this machine; true outside of requests."""
    return _at_home.get()


@contextmanager
def asked_by(scope: dict[str, Any]) -> Iterator[None]:
    """For as long as a request is worked on.

    Args:
        scope: the request's, as the guard has passed it on.
    """
    token = _at_home.set(bool(scope.get(KEY)))
    try:
        yield
    finally:
        _at_home.reset(token)


def is_home(scope: dict[str, Any], alone: bool) -> bool:
    """Whether a request comes from this machine, to a page that is for this machine.

    Args:
        scope: the request, as it came.
        alone: see `is_alone`.
    """
    return alone and is_at_home(scope)


def is_alone(options: Options) -> bool:
    """Whether a page with these options can be reached from this machine only."""
    if options.shared or on_a_space():
        return False
    return is_loopback(options.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1")

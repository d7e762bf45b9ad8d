"""The allow-list: which paths exist, which of them are public, and their query parameters.

It lists what the page and its API need. A Gradio route that is not on it returns 404, also one that
a later release adds.
"""

import re
from urllib.parse import parse_qsl, urlencode

from page.requests.call_checks import check_id
from page.requests.request_body import HttpError

API = "/gradio_api"
FILE = f"{API}/file="
METHODS = ("GET", "HEAD", "POST")

# The login form and Gradio's own start-up request need these before a login.
_STATIC = re.compile(
    r"/(favicon\.ico|preview\.jpg|robots\.txt|manifest\.json)"
    r"|/(assets|static|svelte)/(?!.*\.\.)[\w./@+~-]{1,300}",
    re.ASCII,
)
_PUBLIC = re.compile(
    rf"/|/login/?|/theme\.css|{API}/(user|login_check|app_id|startup-events|theme\.css)/?"
)
_MEMBERS_ONLY = re.compile(
    r"/config/?|/logout"
    rf"|{API}/(info|openapi\.json|upload|upload_progress|cancel|reset"
    r"|queue/(join|data|status)|heartbeat/(?P<session>[^/]*)|(run|api|call|call/v2)/[^/]+"
    r"|call/(?!v2/)[^/]+/(?P<event>[^/]*)|call/v2/[^/]+/(?P<event2>[^/]*)|file=.*)/?"
    r"|/live/(start|frame|stop)",
    re.DOTALL,
)
_CALL = re.compile(rf"{API}/(?:queue/join|(?P<kind>run|api|call/v2|call)/(?P<name>[^/]+))/?")
# The query parameters that are forwarded, by path.
_QUERY_NAMES = {
    f"{API}/upload": ("upload_id",),
    f"{API}/upload_progress": ("upload_id",),
    f"{API}/queue/data": ("session_hash",),
    f"{API}/info": ("all_endpoints",),
    "/logout": ("all_session",),
    "/live/start": ("model",),
    "/live/frame": ("id",),
    "/live/stop": ("id",),
}
_IDS = {"upload_id": "The upload_id", "session_hash": "The session_hash", "id": "The camera's id"}
MAX_QUERY = 4096


def is_static(path: str) -> bool:
    """Return whether a path is a static file, the same for every visitor."""
    return _STATIC.fullmatch(path) is not None


def is_cacheable(path: str) -> bool:
    """Return whether a response contains nothing of a photo or a result.

    Upload progress must be on the list: with `no-store`, Chromium reports the end of its event
    stream as a failure.
    """
    return is_static(path) or path == f"{API}/upload_progress"


def is_public(path: str) -> bool:
    """Return whether a path is open to visitors who have not logged in."""
    return is_static(path) or _PUBLIC.fullmatch(path) is not None


def check_path(path: str) -> None:
    """Refuse a path that is not on the allow-list.

    Raises:
        HttpError: 404, or 400 if the path contains a malformed session or event id.
    """
    if is_public(path):
        return
    match = _MEMBERS_ONLY.fullmatch(path)
    if match is None:
        raise HttpError(404, "This page does not exist.")
    for value, name in (
        (match["session"], "The session_hash"),
        (match["event"], "The event_id"),
        (match["event2"], "The event_id"),
    ):
        if value is not None:
            check_id(value, name)


def parse_call(path: str) -> tuple[str | None, str | None] | None:
    """Return the (kind, name) of a call's path, see `call_checks.read_call`; None for others."""
    match = _CALL.fullmatch(path)
    return (match["kind"], match["name"]) if match else None


def parse_query(path: str, query: bytes) -> dict[str, str]:
    """Return the query parameters that the path takes; others are dropped.

    Raises:
        HttpError: the query is too long, has a parameter twice, or has a malformed id.
    """
    names = _QUERY_NAMES.get(path.rstrip("/"), ())
    if not names or not query:
        return {}
    if len(query) > MAX_QUERY:
        raise HttpError(400, "This address is too long.")
    values: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in values:
            raise HttpError(400, f"This address has the parameter {name} twice.")
        if name in names:
            values[name] = check_id(value, _IDS[name]) if name in _IDS else value
    return values


def encode_query(values: dict[str, str]) -> bytes:
    """Return the parameters of `parse_query` as a query string for Gradio."""
    return urlencode(values).encode()

"""The addresses that exist here, to whom they are open, and what they may be asked with.

It is a list of what the page and its API need: a route of Gradio that is not on it does not exist,
whatever a later release adds.
"""

import re
from urllib.parse import parse_qsl, urlencode

from page.requests.call_checks import check_id
from page.requests.request_body import HttpError

API = "/gradio_api"
FILE = f"{API}/file="
METHODS = ("GET", "HEAD", "POST")

# What a visitor who has not logged in needs to see the form, and the app itself to start.
_STATIC = re.compile(
    r"/(favicon\.ico|preview\.jpg|robots\.txt|manifest\.json)"
    r"|/(assets|static|svelte)/(?!.*\.\.)[\w./@+~-]{1,300}",
    re.ASCII,
)
_OPEN = re.compile(
    rf"/|/login/?|/theme\.css|{API}/(user|login_check|app_id|startup-events|theme\.css)/?"
)
_MEMBERS = re.compile(
    r"/config/?|/logout"
    rf"|{API}/(info|openapi\.json|upload|upload_progress|cancel|reset"
    r"|queue/(join|data|status)|heartbeat/(?P<session>[^/]*)|(run|api|call|call/v2)/[^/]+"
    r"|call/(?!v2/)[^/]+/(?P<event>[^/]*)|call/v2/[^/]+/(?P<event2>[^/]*)|file=.*)/?"
    r"|/live/(start|frame|stop)",
    re.DOTALL,
)
_CALL = re.compile(rf"{API}/(?:queue/join|(?P<kind>run|api|call/v2|call)/(?P<name>[^/]+))/?")
# What follows the "?": of each address these names are handed on, and no others.
_ASKED = {
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
    """Whether a path names a part of the page that is the same for everybody."""
    return _STATIC.fullmatch(path) is not None


def may_be_kept(path: str) -> bool:
    """Whether an answer holds nothing of a photo or a result, so that it may be kept.

    An upload's progress is none either: told not to keep it, Chromium takes its end for a failure.
    """
    return is_static(path) or path == f"{API}/upload_progress"


def is_open(path: str) -> bool:
    """Whether a path is there for visitors who have not logged in."""
    return is_static(path) or _OPEN.fullmatch(path) is not None


def check_path(path: str) -> None:
    """Refuse what is no address here.

    Raises:
        RefusedError: 404, or 400 for one that names a session or an event that is none.
    """
    if is_open(path):
        return
    match = _MEMBERS.fullmatch(path)
    if match is None:
        raise HttpError(404, "There is no such page here.")
    for value, what in (
        (match["session"], "The session_hash"),
        (match["event"], "The event_id"),
        (match["event2"], "The event_id"),
    ):
        if value is not None:
            check_id(value, what)


def call_of(path: str) -> tuple[str | None, str | None] | None:
    """The (kind, name) of a path that calls a function, see `calls.read_call`; None for others."""
    match = _CALL.fullmatch(path)
    return (match["kind"], match["name"]) if match else None


def asked_of(path: str, query: bytes) -> dict[str, str]:
    """What follows the "?", as far as this address knows it.

    Raises:
        RefusedError: it is too long, says a thing twice, or names what can be no name.
    """
    names = _ASKED.get(path.rstrip("/"), ())
    if not names or not query:
        return {}
    if len(query) > MAX_QUERY:
        raise HttpError(400, "This address is too long.")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    asked: dict[str, str] = {}
    for name, value in pairs:
        if name in asked:
            raise HttpError(400, f"This address says {name} twice.")
        if name in names:
            asked[name] = check_id(value, _IDS[name]) if name in _IDS else value
    return asked


def packed(asked: dict[str, str]) -> bytes:
    """The same as `asked_of` took, for Gradio."""
    return urlencode(asked).encode()

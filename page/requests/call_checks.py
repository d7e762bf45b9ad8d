"""Check a call's JSON: its size, its function, its ids, and that its files were uploaded.

The values are counted before the body is parsed, and it is parsed in a thread. Gradio gets a body
rebuilt from the checked entries only. The function is looked up first, because Gradio would take
"74" and 74.0 for 74, and would prefer a number in the body to the name in the path.
"""

import functools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from page.requests.request_body import HttpError
from page.storage.temp_files import is_inside

if TYPE_CHECKING:
    import gradio as gr

MAX_BYTES = 1 << 20
MAX_VALUES = 10_000
"""Limit of commas, colons and opening brackets in a call."""
MAX_FILES = 100
MAX_INTEGER = 2**53
"""Larger integers are not exact in a browser; beyond 2**63 Gradio's JSON encoder fails."""
ANY = "predict"
"""The path's function name when Gradio's page calls a function by its number."""
NO_URL = "This server fetches nothing from an address. Upload the file itself."
NOT_UPLOADED = (
    "A call may name only files that were uploaded here, and they are deleted after a while. "
    "Upload the file again."
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # clients' session ids may be UUIDs, with hyphens
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # two letters: C:\ is a drive
_DATA = re.compile(r"\s*data:", re.IGNORECASE)
V2 = "call/v2"


@dataclass(frozen=True)
class Call:
    """A checked call.

    Attributes:
        number: the function's number.
        body: the body for Gradio, without the function.
        session: the visitor's session id, or None.
    """

    number: int
    body: dict[str, Any]
    session: str | None

    def to_json(self) -> bytes:
        """Return the body with the function as JSON.

        Raises:
            HttpError: a string contains a lone surrogate.
        """
        call = {**self.body, "fn_index": self.number}
        try:
            return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            _refuse("The body of this call contains a lone surrogate.")


def check_id(value: object, name: str) -> str:
    """Return the id of a session, an event or an upload.

    Raises:
        HttpError: it is too long, or has other characters than letters, digits, "-" and "_".
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        _refuse(f"{name} has 1 to 64 letters, digits, - or _.")
    return value


def read_call(
    data: bytes, demo: "gr.Blocks", folder: Path, kind: str | None, name: str | None
) -> Call:
    """Check a call; run this in a thread.

    Args:
        data: the body.
        demo: the page.
        folder: where uploads are stored.
        kind: "run", "api", "call" or "call/v2" as the path has it, or None for `queue/join`.
        name: the function's name in the path, or None.

    Raises:
        HttpError: the call is malformed or not allowed.
    """
    call = read_object(data)
    _check_files(call, folder)
    number = _function(demo, kind, name, call)
    if kind == V2:
        return Call(number, {"data": _by_name(demo, str(name), call)}, None)
    session, trigger = call.get("session_hash"), call.get("trigger_id")
    if session is not None:
        check_id(session, "The session_hash")
    if trigger is not None and not _is_integer(trigger):
        _refuse("The trigger_id of this call is not an integer.")
    values = call.get("data")
    if not isinstance(values, list):
        _refuse("The data of this call is not a list.")
    if len(values) > len(demo.fns[number].inputs):
        _refuse(f"This function takes {len(demo.fns[number].inputs)} values.")
    body = {"data": values, "session_hash": session, "trigger_id": trigger}
    return Call(number, {**body, "event_data": call.get("event_data")}, session)


def read_object(data: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        HttpError: it is not an object, has too many values, or a number that JSON cannot hold.
    """
    if sum(data.count(mark) for mark in (b",", b":", b"[", b"{")) > MAX_VALUES:
        _refuse(f"The body of this call has more than {MAX_VALUES} values.")
    try:
        call = json.loads(data, parse_float=_float, parse_int=_int, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise HttpError(400, "The body of this call is not JSON.") from None
    if not isinstance(call, dict):
        raise HttpError(400, "The body of this call is not a JSON object.")
    return call


def read_cancel(data: bytes) -> bytes:
    """Return the checked body of a call to `/cancel` or `/reset` as JSON.

    Raises:
        HttpError: the event id, session id or function number is malformed.
    """
    call = read_object(data)
    checked: dict[str, Any] = {"event_id": check_id(call.get("event_id"), "The event_id")}
    if "session_hash" in call:
        checked["session_hash"] = check_id(call["session_hash"], "The session_hash")
    if "fn_index" in call:
        if not _is_integer(call["fn_index"]):
            _refuse("The fn_index of this call is not an integer.")
        checked["fn_index"] = call["fn_index"]
    return json.dumps(checked).encode()


def _function(demo: "gr.Blocks", kind: str | None, name: str | None, call: dict[str, Any]) -> int:
    """Return the number of the called function."""
    given = call.get("fn_index") if kind != V2 else None
    if given is not None and not _is_integer(given):
        _refuse("The fn_index of this call is not an integer.")
    if name is None or (given is not None and name == ANY and kind in ("run", "api")):
        if given not in demo.fns:
            _refuse("This page has no function with the fn_index of this call.")
        return given
    number = next((n for n, fn in demo.fns.items() if fn.api_name == name), None)
    if number is None or (kind == V2 and demo.fns[number].api_visibility != "public"):
        raise HttpError(404, f"This page has no function {name[:64]!r}.")
    if given not in (None, number):
        _refuse("The fn_index of this call and its address name another function.")
    return number


def _by_name(demo: "gr.Blocks", name: str, call: dict[str, Any]) -> list[Any]:
    """Return the list of values of a call that passes them by parameter name."""
    from page.gradio_internals import construct_args

    parameters = _parameters(demo)[f"/{name}"]["parameters"]
    try:
        return construct_args(parameters, (), call)
    except TypeError:
        names = ", ".join(parameter["parameter_name"] for parameter in parameters)
        _refuse(f"This call takes these values: {names}.")


@functools.lru_cache(maxsize=2)
def _parameters(demo: "gr.Blocks") -> dict[str, Any]:
    return demo.get_api_info()["named_endpoints"]


def _check_files(call: dict[str, Any], folder: Path) -> None:
    files = 0
    stack: list[Any] = [call]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            files += bool(value.get("path"))
            if files > MAX_FILES:
                _refuse(f"This call names more than {MAX_FILES} files.")
            _check_file(value, folder)
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _check_file(value: dict[str, Any], folder: Path) -> None:
    """Refuse file data with a URL, or with a path outside the folder of uploads."""
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and path:
        if _SCHEME.match(path):
            raise HttpError(403, NO_URL)
        if not is_inside(path, folder):
            raise HttpError(403, NOT_UPLOADED)
    elif isinstance(url, str) and _SCHEME.match(url) and not _DATA.match(url):
        raise HttpError(403, NO_URL)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _int(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INTEGER:
        raise ValueError(text)
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _refuse(text: str) -> NoReturn:
    raise HttpError(400, text)

"""What a call may say: few values of known kinds, one function, and no file but an uploaded one.

The body is counted before it is parsed, parsed in a thread, and written anew from the entries that
are known here: Gradio reads what was checked and nothing else. Which function a call means is
decided here; Gradio would take "74" and 74.0 for 74, and a number in the body before a name in the
path.
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
"""Commas, colons and opening brackets of a call."""
MAX_FILES = 100
MAX_WHOLE = 2**53
"""Whole numbers beyond it are no numbers in a browser, and beyond 2**63 none in Gradio's JSON."""
ANY = "predict"
"""The name in the path under which Gradio's page calls functions by their number."""
NO_ADDRESS = "This server fetches nothing from an address: upload the file itself."
NOT_HERE = (
    "A call may name only files that were uploaded here, and they are kept for a while only. "
    "Upload the file again."
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # programs' sessions are UUIDs, with hyphens
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]+:", re.IGNORECASE)  # two letters: C:\ is a drive
_DATA = re.compile(r"\s*data:", re.IGNORECASE)
V2 = "call/v2"


@dataclass(frozen=True)
class Call:
    """A call that may be passed on.

    Attributes:
        number: of the function that it means.
        body: what Gradio will read, without the function.
        session: the visitor's, or None.
    """

    number: int
    body: dict[str, Any]
    session: str | None

    def packed(self) -> bytes:
        """The body as JSON."""
        call = {**self.body, "fn_index": self.number}
        try:
            return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            _refuse("The body of this call has half a letter (a lone surrogate) in it.")


def check_id(value: object, what: str) -> str:
    """A session's, an event's or an upload's name, where it can be one.

    Raises:
        RefusedError: it is too long, or has other characters than letters, digits, "-" and "_".
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        _refuse(f"{what} has 1 to 64 letters, digits, - or _.")
    return value


def read_call(
    data: bytes, demo: "gr.Blocks", folder: Path, kind: str | None, name: str | None
) -> Call:
    """Read a call; to be run in a thread.

    Args:
        data: the body.
        demo: the page.
        folder: where uploads lie.
        kind: "run", "api", "call" or "call/v2" as the path has it, or None for `queue/join`.
        name: the function's name in the path, or None.

    Raises:
        RefusedError: it cannot be passed on.
    """
    call = read_object(data)
    _check_files(call, folder)
    number = _function(demo, kind, name, call)
    if kind == V2:
        return Call(number, {"data": _by_name(demo, str(name), call)}, None)
    session, trigger = call.get("session_hash"), call.get("trigger_id")
    if session is not None:
        check_id(session, "The session_hash")
    if trigger is not None and not _is_whole(trigger):
        _refuse("The trigger_id of this call is no whole number.")
    values = call.get("data")
    if not isinstance(values, list):
        _refuse("The data of this call is no list.")
    if len(values) > len(demo.fns[number].inputs):
        _refuse(f"This function takes {len(demo.fns[number].inputs)} values.")
    body = {"data": values, "session_hash": session, "trigger_id": trigger}
    return Call(number, {**body, "event_data": call.get("event_data")}, session)


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object of few values.

    Raises:
        RefusedError: it is none, or has too many of them, or a number that is none elsewhere.
    """
    if sum(data.count(mark) for mark in (b",", b":", b"[", b"{")) > MAX_VALUES:
        _refuse(f"This is no JSON that a call here can have: it has more than {MAX_VALUES} values.")
    try:
        call = json.loads(data, parse_float=_float, parse_int=_int, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise HttpError(400, "The body of this call is no JSON.") from None
    if not isinstance(call, dict):
        raise HttpError(400, "The body of this call is no JSON object.")
    return call


def read_cancel(data: bytes) -> bytes:
    """What a call to `/cancel` or `/reset` may say, written anew.

    Raises:
        RefusedError: it names no session and event.
    """
    call = read_object(data)
    kept: dict[str, Any] = {"event_id": check_id(call.get("event_id"), "The event_id")}
    if "session_hash" in call:
        kept["session_hash"] = check_id(call["session_hash"], "The session_hash")
    if "fn_index" in call:
        if not _is_whole(call["fn_index"]):
            _refuse("The fn_index of this call is no whole number.")
        kept["fn_index"] = call["fn_index"]
    return json.dumps(kept).encode()


def _function(demo: "gr.Blocks", kind: str | None, name: str | None, call: dict[str, Any]) -> int:
    """The number of the function that a call means."""
    given = call.get("fn_index") if kind != V2 else None
    if given is not None and not _is_whole(given):
        _refuse("The fn_index of this call is no whole number.")
    if name is None or (given is not None and name == ANY and kind in ("run", "api")):
        if given not in demo.fns:
            _refuse("The fn_index of this call is no function's here.")
        return given
    number = next((n for n, fn in demo.fns.items() if fn.api_name == name), None)
    if number is None or (kind == V2 and demo.fns[number].api_visibility != "public"):
        raise HttpError(404, f"There is no function {name[:64]!r} here.")
    if given not in (None, number):
        _refuse("The fn_index of this call is another function's than its address.")
    return number


def _by_name(demo: "gr.Blocks", name: str, call: dict[str, Any]) -> list[Any]:
    """The values of a call that gives each by its parameter's name."""
    from page.gradio_internals import construct_args

    parameters = _parameters(demo)[f"/{name}"]["parameters"]
    try:
        return construct_args(parameters, (), call)
    except TypeError:
        names = ", ".join(one["parameter_name"] for one in parameters)
        _refuse(f"This call takes these values: {names}.")


@functools.lru_cache(maxsize=2)
def _parameters(demo: "gr.Blocks") -> dict[str, Any]:
    return demo.get_api_info()["named_endpoints"]


def _check_files(call: dict[str, Any], folder: Path) -> None:
    files = 0
    todo: list[Any] = [call]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            files += bool(value.get("path"))
            if files > MAX_FILES:
                _refuse(f"This call names more than {MAX_FILES} files.")
            _check_file(value, folder)
            todo += value.values()
        elif isinstance(value, list):
            todo += value


def _check_file(value: dict[str, Any], folder: Path) -> None:
    """Refuse a description of a file that was not uploaded here, or that lies elsewhere."""
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and path:
        if _SCHEME.match(path):
            raise HttpError(403, NO_ADDRESS)
        if not is_inside(path, folder):
            raise HttpError(403, NOT_HERE)
    elif isinstance(url, str) and _SCHEME.match(url) and not _DATA.match(url):
        raise HttpError(403, NO_ADDRESS)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _int(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_WHOLE:
        raise ValueError(text)
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _refuse(text: str) -> NoReturn:
    raise HttpError(400, text)

"""Calls as the page sends them, and waiting for their effects."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .inside import API, Inside, file_data


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds; fail after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def files_in(folder: Path) -> set[str]:
    """Return the paths of all files below a folder."""
    return {str(path) for path in folder.rglob("*") if path.is_file()}


def join(app: Inside, path: str, session: str) -> str:
    """Put a photo into the queue as the page does, and return the event id."""
    label = next(n for n, fn in app.site.demo.fns.items() if fn.api_name == "label")
    body = {
        "data": [file_data(path), app.model, 0],
        "fn_index": label,
        "session_hash": session,
    }
    answer = app.http.post(f"{API}/queue/join", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["event_id"]


def read_values(app: Inside, session: str) -> Iterator[dict[str, Any]]:
    """Yield the messages of a session's run, the last one included."""
    url = f"{API}/queue/data?session_hash={session}"
    with app.http.stream("GET", url, timeout=30) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                yield message
                return
            if message.get("msg") == "process_generating":
                yield message


def ask_page(app: Inside, path: str, session: str = "") -> list[dict[str, Any]]:
    """Label a photo as the page does, and return the viewer's values, differences applied."""
    session = session or f"s{time.monotonic_ns()}"
    join(app, path, session)
    values = []
    for message in read_values(app, session):
        data = message["output"].get("data") or [None]
        if isinstance(data[0], dict):
            values.append(data[0])
        elif isinstance(data[0], list):  # differences to the last value
            values += [step[-1] for step in data[0] if step[0] == "replace" and step[1] == []]
            patched = dict(values[-1]) if values else {}
            for action, where, value in (step for step in data[0] if step[1]):
                patched[where[0]] = value if action != "delete" else None
            values.append({k: v for k, v in patched.items() if v is not None})
    return values

"""HTTP client of a running page: the API for programs, and the requests that a browser sends."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import httpx
import numpy as np

API = "/gradio_api"


class Client:
    """Sends requests to one page.

    Attributes:
        http: the connection.
        sent: bytes of the bodies sent so far (streamed uploads not included).
    """

    def __init__(self, url: str, timeout: float = 180.0) -> None:
        self.http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self.http.event_hooks["request"] = [self._count]
        self.sent = 0

    def _count(self, request: httpx.Request) -> None:
        self.sent += int(request.headers.get("Content-Length", 0))

    def post_upload(
        self,
        data: bytes,
        name: str = "photo.jpg",
        *,
        pieces: Callable[[bytes], Iterable[bytes]] | None = None,
    ) -> httpx.Response:
        """Upload a file and return the response.

        Args:
            data: the file.
            name: its name.
            pieces: cuts the request's body into the pieces that are sent one by one.
        """
        request = self.http.build_request("POST", f"{API}/upload", files={"files": (name, data)})
        if pieces is not None:
            body, kind = pieces(request.read()), request.headers["Content-Type"]
            headers = {"Content-Type": kind}
            request = self.http.build_request("POST", request.url, content=body, headers=headers)
        return self.http.send(request)

    def upload(self, data: bytes, name: str = "photo.png") -> str:
        """Upload a file; return its path on the server."""
        response = self.post_upload(data, name)
        response.raise_for_status()
        return response.json()[0]

    def call(self, path: str, model: str | None = "") -> httpx.Response:
        """Call the endpoint `/segment` for an uploaded file, without waiting for its result.

        Args:
            path: the file on the server.
            model: second argument of the call; None leaves it out.
        """
        arguments = [file_data(path), *([] if model is None else [model])]
        return self.http.post(f"{API}/call/segment", json={"data": arguments})

    def answer(self, event: str, seconds: float = 30) -> tuple[str, str]:
        """Return the outcome of a call: ("complete" or "error", its data as JSON).

        The first one is another word, or "", if the stream ended before the outcome.
        """
        kind = ""
        with self.http.stream("GET", f"{API}/call/segment/{event}", timeout=seconds) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind in ("complete", "error"):
                    return kind, line.removeprefix("data: ")
        return kind, ""

    def segment(self, data: bytes, name: str = "photo.png") -> tuple[str, str]:
        """Upload a file, have it labelled, and return the outcome as `answer` does."""
        return self.answer(self.call(self.upload(data, name)).json()["event_id"])

    @cached_property
    def _label_call(self) -> tuple[int, str]:
        """The number of the tab's labelling function, and the chosen model."""
        config = self.http.get("/config").json()
        number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "label")
        model = next(c for c in config["components"] if c["props"].get("elem_id") == "model")
        return number, model["props"]["value"]

    def join_queue(self, path: str, session: str) -> httpx.Response:
        """Press the page's button for an uploaded file, as the browser does."""
        number, model = self._label_call
        data = {"data": [file_data(path), model, 0], "fn_index": number, "session_hash": session}
        return self.http.post(f"{API}/queue/join", json=data)

    def messages(self, session: str) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield each message of a session's event stream and its size in bytes."""
        with self.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
            for line in stream.iter_lines():
                yield json.loads(line.removeprefix("data: ")) if line else {}, len(line) + 1


def file_data(path: str, **more: Any) -> dict[str, Any]:
    """Return a file as the JSON of a call contains it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def other_file(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the same photo as another file, because the page caches the result of an equal one."""
    return data + rng.integers(0, 256, 8, np.uint8).tobytes()

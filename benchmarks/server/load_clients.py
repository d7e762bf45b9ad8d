"""The visitors of `benchmarks.server.load`: what they ask for, and what became of it."""

import io
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.report.output import EXAMPLES

API = "/gradio_api"
SIDES = (240, 480, 800, 1200, 2000, 4000)
"""Longer sides of the photos; 4000 makes 12 megapixels of a 4:3 photo."""
SHARES = (0.2, 0.25, 0.25, 0.2, 0.08, 0.02)
WAIT_SECONDS = 180.0


@dataclass
class Tally:
    """What became of the requests.

    Attributes:
        outcomes: how many of each kind of visitor met with what.
        seconds: how long each photo took that was labelled, from the upload to the answer.
        statuses: the HTTP statuses of all answers.
        memory: (seconds since the start, resident megabytes) of the app.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one request."""
        with self.lock:
            self.outcomes[f"{kind}: {outcome}"] += 1
            if outcome == "labelled":
                self.seconds.append(seconds)


def photos(largest: int) -> list[bytes]:
    """JPEGs of all `SIDES` up to the largest, made of the example photos."""
    files = []
    sides = [side for side in SIDES if side <= largest]
    for path, side in itertools.product(sorted(EXAMPLES.glob("*.jpg"))[:4], sides):
        image = Image.open(path).convert("RGB")
        scale = side / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=88)
        files.append(file.getvalue())
    return files


def bad_files(good: list[bytes], rng: np.random.Generator) -> list[bytes]:
    """Files that are no pictures, or broken ones."""
    claims = Image.new("L", (2, 2))
    file = io.BytesIO()
    claims.save(file, "BMP")
    bomb = bytearray(file.getvalue())
    bomb[18:26] = np.array([60_000, 60_000], "<i4").tobytes()
    noise = rng.integers(0, 256, 100_000, np.uint8).tobytes()
    cut = [data[: len(data) // 3] for data in good[:3]]
    return [b"", b"dear diary", b"<svg onload='alert(1)'/>", bytes(bomb), noise, *cut]


class Visitor:
    """One of the crowd; asks one thing after another."""

    def __init__(self, url: str, tally: Tally, seed: int, mix: dict[str, float]) -> None:
        self.http = httpx.Client(base_url=url, timeout=WAIT_SECONDS, trust_env=False)
        self.http.event_hooks = {"response": [self._count]}
        self.tally = tally
        self.rng = np.random.default_rng(seed)
        self.mix = mix

    def _count(self, response: httpx.Response) -> None:
        with self.tally.lock:
            self.tally.statuses[response.status_code] += 1

    def ask(self, good: list[bytes], bad: list[bytes]) -> None:
        """Do one thing at random and count what came of it."""
        kind = str(self.rng.choice(list(self.mix), p=list(self.mix.values())))
        start = time.perf_counter()
        try:
            if kind == "looks":
                outcome = "seen" if self.http.get("/").status_code == 200 else "refused"
            elif kind == "leaves":
                outcome = self._leave(self._choose(good))
            else:
                data = self._choose(good)
                if kind == "bad":
                    data = bad[int(self.rng.integers(len(bad)))]
                outcome = self._label(data, slow=kind == "slow")
                if kind != "bad" and outcome.startswith("told"):
                    outcome = "failed"  # there is nothing wrong with this one
        except httpx.HTTPError as error:
            outcome = f"lost ({type(error).__name__})"
        self.tally.add(kind, outcome, time.perf_counter() - start)

    def _choose(self, good: list[bytes]) -> bytes:
        sizes = len(good) // 4
        shares = np.array(SHARES[:sizes]) / sum(SHARES[:sizes])
        return good[int(self.rng.integers(4)) * sizes + int(self.rng.choice(sizes, p=shares))]

    def _upload(self, data: bytes, *, slow: bool = False) -> str | None:
        # a photo of one's own: equal ones would be answered from memory
        data += self.rng.integers(0, 256, 8, np.uint8).tobytes() if data else b""
        content: Any = _multipart(data)
        if slow:
            content = self._slowly(content)
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
        answer = self.http.post(f"{API}/upload", content=content, headers=headers)
        return answer.json()[0] if answer.status_code == 200 else None

    def _slowly(self, data: bytes) -> Iterator[bytes]:
        size = len(data) // 8 + 1
        for at in range(0, len(data), size):
            yield data[at : at + size]
            time.sleep(float(self.rng.random()) / 2)

    def _label(self, data: bytes, *, slow: bool) -> str:
        path = self._upload(data, slow=slow)
        if path is None:  # asked to come back
            time.sleep(1)
            return "upload asked to come back"
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        answer = self.http.post(f"{API}/call/segment", json={"data": [file, ""]})
        if answer.status_code != 200:
            return f"refused ({answer.status_code})"
        return self._read(f"{API}/call/segment/{answer.json()['event_id']}")

    def _read(self, url: str) -> str:
        kind = ""
        with self.http.stream("GET", url) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif kind == "complete":
                    return "labelled"
                elif kind == "error":
                    return self._sentence(json.loads(line.removeprefix("data: ")))
        return "lost (no answer)"

    def _sentence(self, data: dict[str, Any] | None) -> str:
        text = (data or {}).get("error") or ""
        if text.startswith("Busy"):  # asked to come back
            time.sleep(1)
            return "asked to come back"
        if "waited" in text or "took more than" in text:
            return "past the time limit"
        if text.startswith("Something went wrong") or not text:
            return "failed"
        return "refused with a message"

    def _leave(self, data: bytes) -> str:
        """Ask as the page does, listen for a moment, and close the tab."""
        path = self._upload(data)
        config = self.http.get("/config").json()
        number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "label")
        model = next(c for c in config["components"] if c["props"].get("elem_id") == "model")
        session = f"load{self.rng.integers(10**12)}"
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = {"data": [file, model["props"]["value"], 0], "fn_index": number}
        answer = self.http.post(f"{API}/queue/join", json={**body, "session_hash": session})
        if answer.status_code != 200:
            return f"refused ({answer.status_code})"
        with self.http.stream("GET", f"{API}/queue/data?session_hash={session}") as stream:
            next(stream.iter_lines(), None)
            time.sleep(float(self.rng.random()) / 2)
        return "gone"


def _multipart(data: bytes) -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"'
    return head + b"\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n--frontier--\r\n"

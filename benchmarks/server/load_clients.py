"""The visitors of `benchmarks.server.load`: their requests and the outcomes."""

import io
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
from PIL import Image

from benchmarks.report.output import EXAMPLES
from tests.helpers.client import Client, other_file

SHARES = {240: 0.2, 480: 0.25, 800: 0.25, 1200: 0.2, 2000: 0.08, 4000: 0.02}
"""Longer side of a photo -> its share; 4000 makes 12 megapixels of a 4:3 photo."""
MIX = {"good": 0.66, "bad": 0.14, "leaves": 0.08, "slow": 0.06, "looks": 0.06}
"""Kind of visitor -> its share."""
PHOTOS = 4
WAIT_SECONDS = 180.0
REFUSED = "refused with a message"


@dataclass
class Tally:
    """Counts of the outcomes.

    Attributes:
        outcomes: "kind of visitor: outcome" -> number of requests.
        seconds: of each labelled photo, from the upload to the result.
        statuses: the HTTP statuses of all responses.
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

    def count_response(self, response: httpx.Response) -> None:
        """Count one response by its status."""
        with self.lock:
            self.statuses[response.status_code] += 1


def photos(largest: int) -> list[bytes]:
    """Return JPEGs of the example photos, in all sizes up to the largest longer side."""
    files = []
    sides = [side for side in SHARES if side <= largest]
    for path, side in itertools.product(sorted(EXAMPLES.glob("*.jpg"))[:PHOTOS], sides):
        image = Image.open(path).convert("RGB")
        scale = side / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=88)
        files.append(file.getvalue())
    return files


def bad_files(good: list[bytes], rng: np.random.Generator) -> list[bytes]:
    """Return files that are no images, or broken ones, or claim 60,000 x 60,000 pixels."""
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "BMP")
    bomb = bytearray(file.getvalue())
    bomb[18:26] = np.array([60_000, 60_000], "<i4").tobytes()
    noise = rng.integers(0, 256, 100_000, np.uint8).tobytes()
    cut = [data[: len(data) // 3] for data in good[:3]]
    return [b"", b"dear diary", b"<svg onload='alert(1)'/>", bytes(bomb), noise, *cut]


class Visitor:
    """A client that makes one random request after another."""

    def __init__(self, url: str, tally: Tally, seed: int) -> None:
        self.client = Client(url)
        self.client.http.event_hooks["response"] = [tally.count_response]
        self.tally = tally
        self.rng = np.random.default_rng(seed)

    def ask(self, good: list[bytes], bad: list[bytes]) -> None:
        """Make one random request and count its outcome."""
        kind = str(self.rng.choice(list(MIX), p=list(MIX.values())))
        start = time.perf_counter()
        try:
            if kind == "looks":
                outcome = "seen" if self.client.http.get("/").is_success else "refused"
            elif kind == "leaves":
                outcome = self._leave(self._choose(good))
            elif kind == "bad":
                outcome = self._label(bad[int(self.rng.integers(len(bad)))])
            else:
                outcome = self._label(self._choose(good), slow=kind == "slow")
                if outcome == REFUSED:  # nothing is wrong with this photo
                    outcome = "failed"
        except httpx.HTTPError as error:
            outcome = f"lost ({type(error).__name__})"
        self.tally.add(kind, outcome, time.perf_counter() - start)

    def _choose(self, good: list[bytes]) -> bytes:
        sizes = len(good) // PHOTOS
        shares = np.array(list(SHARES.values())[:sizes])
        size = int(self.rng.choice(sizes, p=shares / shares.sum()))
        return good[int(self.rng.integers(PHOTOS)) * sizes + size]

    def _upload(self, data: bytes, *, slow: bool = False) -> str | None:
        data = other_file(data, self.rng) if data else b""
        response = self.client.post_upload(data, pieces=self._slowly if slow else None)
        return response.json()[0] if response.status_code == 200 else None

    def _slowly(self, data: bytes) -> Iterator[bytes]:
        size = len(data) // 8 + 1
        for at in range(0, len(data), size):
            yield data[at : at + size]
            time.sleep(float(self.rng.random()) / 2)

    def _label(self, data: bytes, *, slow: bool = False) -> str:
        path = self._upload(data, slow=slow)
        if path is None:
            time.sleep(1)
            return "upload asked to come back"
        response = self.client.call(path)
        if response.status_code != 200:
            return f"refused ({response.status_code})"
        kind, text = self.client.answer(response.json()["event_id"], WAIT_SECONDS)
        if kind == "complete":
            return "labelled"
        return _outcome(json.loads(text)) if kind == "error" else "lost (no answer)"

    def _leave(self, data: bytes) -> str:
        """Label a photo as the page does, listen for a moment, and close the tab."""
        session = f"load{self.rng.integers(10**12)}"
        response = self.client.join_queue(self._upload(data), session)
        if response.status_code != 200:
            return f"refused ({response.status_code})"
        messages = self.client.messages(session)
        next(messages, None)
        time.sleep(float(self.rng.random()) / 2)
        messages.close()
        return "disconnected"


def _outcome(error: dict[str, str | None] | None) -> str:
    """Return the outcome for the data of an error event."""
    text = (error or {}).get("error") or ""
    if text.startswith("Busy"):
        time.sleep(1)
        return "asked to come back"
    if text.startswith("Timed out") or "took more than" in text:
        return "past the time limit"
    if text.startswith("The server had a problem") or not text:
        return "failed"
    return REFUSED

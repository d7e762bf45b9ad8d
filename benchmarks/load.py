"""Visitors by the dozen: good photos, bad files, people who leave, slow connections, all at once.

`python -m benchmarks.load` starts the app, sends a mixed crowd to it and prints a table: requests a
second, median and 99th percentile, what became of each request, memory and temporary files at the
start and at the end. Bounded in number and in time, and never to another machine.

The long form: `python -m benchmarks.load --requests 2000 --minutes 10`.
"""

import argparse
import io
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

API = "/gradio_api"
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_REQUESTS, MOST_MINUTES, MOST_VISITORS = 20_000, 60.0, 200
MIXES = {
    "mixed": {"good": 0.66, "bad": 0.14, "leaves": 0.08, "slow": 0.06, "looks": 0.06},
    "good": {"good": 1.0},
}
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
        if path is None:
            return "upload refused"
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
        return "told what is wrong"

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


def resident_mb(pid: int) -> float:
    """Resident memory of a process in megabytes; 0 where that cannot be told."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def folder_mb(folder: Path | None) -> float:
    """Size of the files in a folder in megabytes."""
    files = folder.rglob("*") if folder else ()
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def crowd(url: str, options: argparse.Namespace, pid: int | None) -> tuple[Tally, float]:
    """Send the visitors and wait for them; what became of them, and how long it took."""
    tally = Tally()
    rng = np.random.default_rng(options.seed)
    good = photos(options.largest)
    bad = bad_files(good, rng)
    left = itertools.count()
    start = time.perf_counter()
    end = start + 60 * options.minutes

    def visit(number: int) -> None:
        visitor = Visitor(url, tally, options.seed * 1000 + number, MIXES[options.mix])
        while next(left) < options.requests and time.perf_counter() < end:
            visitor.ask(good, bad)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(options.visitors)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if pid:
            tally.memory.append((time.perf_counter() - start, resident_mb(pid)))
        time.sleep(1)
    return tally, time.perf_counter() - start


def table(tally: Tally, seconds: float, more: dict[str, str]) -> str:
    """The result as Markdown."""
    asked = sum(tally.outcomes.values())
    lost = sum(count for name, count in tally.outcomes.items() if "lost" in name)
    failed = sum(count for name, count in tally.outcomes.items() if name.endswith("failed"))
    rows = {
        "requests": f"{asked} in {seconds:.0f} s ({asked / seconds:.2f} a second)",
        "lost": str(lost),
        "failed on this side": str(failed),
        "answers of 5xx": str(sum(n for code, n in tally.statuses.items() if code >= 500)),
    }
    if tally.seconds:
        ordered = sorted(tally.seconds)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        rows["photos labelled"] = f"{len(ordered)} ({len(ordered) / seconds:.2f} a second)"
        rows["time of a photo"] = f"median {statistics.median(ordered):.2f} s, p99 {p99:.2f} s"
    rows |= {name: str(count) for name, count in sorted(tally.outcomes.items())}
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in {**rows, **more}.items()),
        ]
    )


def growth(memory: list[tuple[float, float]]) -> str:
    """Memory after a fifth of the time, as warm-up, and at the end: means of a tenth each."""
    if len(memory) < 20:
        return "too short to tell"
    tenth = len(memory) // 10
    start = statistics.mean(mb for _, mb in memory[2 * tenth : 3 * tenth])
    end = statistics.mean(mb for _, mb in memory[-tenth:])
    return f"{start:.0f} MB after warm-up, {end:.0f} MB at the end ({end / start - 1:+.1%})"


@contextmanager
def own_app(options: argparse.Namespace) -> Iterator[tuple[str, int, Path]]:
    """The app in a process of its own; its address, process number and temporary folder."""
    from tests.server import start_app

    with tempfile.TemporaryDirectory(prefix="pixelwise-load-") as name:
        folder = Path(name)
        words = ["--model", options.model, "--cache-mb", str(options.cache_mb)]
        words += ["--keep-minutes", "1", "--max-queue", str(options.max_queue)]
        with start_app(*words, folder=folder) as (url, app):
            yield url, app.pid, folder / "gradio"


def main() -> int:
    """Read the command line, run, print the table; 1 where a request was lost or failed."""
    options = parse()
    if options.url and urlsplit(options.url).hostname not in LOOPBACK:
        print(f"{options.url} is another machine: this is for one's own only", file=sys.stderr)
        return 2
    more = {}
    if options.url:
        tally, seconds = crowd(options.url, options, None)
    else:
        with own_app(options) as (url, pid, folder):
            tally, seconds = crowd(url, options, pid)
            full = folder_mb(folder)
            time.sleep(options.settle)
            more["memory"] = growth(tally.memory)
            more["temporary files"] = (
                f"{full:.1f} MB at the end, {folder_mb(folder):.1f} MB {options.settle:g} s later "
                f"(limit {options.cache_mb:g} MB)"
            )
    more["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    print(table(tally, seconds, more))
    bad = sum(count for name, count in tally.outcomes.items() if "lost" in name or "failed" in name)
    return 1 if bad or any(code >= 500 for code in tally.statuses) else 0


def parse() -> argparse.Namespace:
    """The command line."""

    def bounded(kind: type, most: float) -> Any:
        def read(text: str) -> Any:
            value = kind(text)
            if not 0 < value <= most:
                raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to {most:g}")
            return value

        return read

    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--requests", type=bounded(int, MOST_REQUESTS), default=200)
    parser.add_argument("--minutes", type=bounded(float, MOST_MINUTES), default=2.0)
    parser.add_argument("--visitors", type=bounded(int, MOST_VISITORS), default=30)
    parser.add_argument("--mix", choices=sorted(MIXES), default="mixed")
    parser.add_argument("--largest", type=int, default=SIDES[-1], help="longer side in pixels")
    parser.add_argument("--model", default="embedded", help="which network (default: embedded)")
    parser.add_argument("--max-queue", type=bounded(int, 1000), default=32)
    parser.add_argument("--cache-mb", type=bounded(float, 10_000), default=64.0)
    parser.add_argument("--settle", type=float, default=90.0, help="seconds to wait for tidying")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", help="a page that runs already, on this machine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

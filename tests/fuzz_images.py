"""Feeds changed pictures to the door for pictures for as long as one likes.

`python tests/fuzz_images.py --minutes 10` starts from the good and the bad inputs and changes them
further. Anything but a picture or an `ImageError` within 5 seconds and 1 GB is a finding: its file
and its cause are written into --out, and the exit status is 1. It says from which seed, so that a
run can be had again; no other package is needed.
"""

import argparse
import faulthandler
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import bad_inputs  # noqa: E402
from segmentation import ImageError  # noqa: E402
from segmentation.images import open_photo  # noqa: E402

MOST_SECONDS, MOST_MB, MOST_BYTES = 5.0, 1000.0, 1 << 20
INTERESTING = (0, 1, 2, 4, 8, 16, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)


def change(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """A file changed in one to eight places, at random."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        at = int(rng.integers(0, len(changed) + 1) * rng.random() ** 2)  # headers more often
        kind = int(rng.integers(0, 7))
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and at < len(changed):
            changed[at] = int(rng.integers(0, 256))
        elif kind == 2:  # a number that programs stumble over
            size = int(rng.choice([1, 2, 4]))
            value = int(rng.choice(INTERESTING)) & (256**size - 1)
            changed[at : at + size] = value.to_bytes(size, str(rng.choice(["big", "little"])))
        elif kind == 3:
            del changed[at : at + int(rng.integers(1, 64))]
        elif kind == 4:  # a piece again
            piece = changed[at : at + int(rng.integers(1, 256))]
            changed[at:at] = piece * int(rng.integers(1, 8))
        elif kind == 5:  # a piece of another file
            other = others[int(rng.integers(len(others)))]
            start = int(rng.integers(0, len(other) + 1))
            changed[at : at + 32] = other[start : start + int(rng.integers(1, 128))]
        else:
            del changed[at:]
        if not changed:
            return b""
    return bytes(changed[:MOST_BYTES])


def attempt(data: bytes) -> tuple[str, str]:
    """Open one file: ("picture" or "error" or "finding", what about it)."""
    status, marks = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    before = 0.0
    if marks.exists():
        marks.write_text("5")
        before = _megabytes(status, "VmRSS")
    start = time.perf_counter()
    try:
        photo = open_photo(data)
        kind, text = "picture", str(photo.image.shape)
        if photo.image.dtype != np.uint8 or photo.image.ndim != 3 or photo.image.shape[2] != 3:
            kind = "finding"
    except ImageError as error:
        kind, text = "error", str(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kind, text = "finding", repr(error)
    seconds = time.perf_counter() - start
    grown = _megabytes(status, "VmHWM") - before if marks.exists() else 0.0
    if seconds > MOST_SECONDS or grown > MOST_MB:
        return "finding", f"{seconds:.1f} s, {grown:.0f} MB: {text}"
    return kind, text


def _megabytes(status: Path, key: str) -> float:
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def fuzz(minutes: float, seed: int, out: Path) -> dict[str, int]:
    """Try changed files until the time is up; how many there were of each kind."""
    good = [bad_inputs.encode(form) for form in bad_inputs.FORMATS] * 8
    corpus = good + [case.data for case in bad_inputs.cases() if 0 < len(case.data) < 50_000]
    rng = np.random.default_rng(seed)
    counts = {"picture": 0, "error": 0, "finding": 0}
    last = out / "last.bin"  # what was being tried, should the process itself die
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        data = change(corpus[int(rng.integers(len(corpus)))], corpus, rng)
        last.write_bytes(data)
        kind, text = attempt(data)
        counts[kind] += 1
        if kind == "finding":
            number = counts["finding"]
            (out / f"finding{number}.bin").write_bytes(data)
            print(f"finding {number}: {text}", flush=True)
    last.unlink()
    return counts


def main() -> int:
    """Read the command line, fuzz, print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="for findings")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    counts = fuzz(options.minutes, options.seed, options.out)
    print(json.dumps({"minutes": options.minutes, "seed": options.seed, **counts}))
    return 1 if counts["finding"] else 0


if __name__ == "__main__":
    sys.exit(main())

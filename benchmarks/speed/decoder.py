"""What it costs to decode a photo in a process of its own: `python -m benchmarks.speed.decoder`.

Both ways take turns, after a warm-up. On a machine with other work to do, the quickest runs say
more than the medians: each photo wakes another process, which then waits for its turn.
"""

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.server.memory_usage import resident_mb
from segmentation.images.decoding.decoder_process import Decoder

SIDES = {0.37: (525, 700), 1.0: (866, 1155), 4.0: (1732, 2310), 12.0: (3000, 4000)}
"""Megapixels -> (height, width)."""


def milliseconds(work: Callable[[], object]) -> float:
    """How long a call took."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def measure(runs: int) -> dict[str, object]:
    """Megapixels -> milliseconds apart and here, quickest and median; and what the process takes.

    Args:
        runs: of each.
    """
    apart, here = Decoder(), Decoder()
    here.apart = False
    photos = {size: photo_file(*sides) for size, sides in SIDES.items()}
    try:
        start = milliseconds(lambda: apart.decode("x", photos[0.37], 64.0))
        found: dict[str, object] = {"first photo, ms": start, "process, MB": resident_mb(apart.pid)}
        for size, data in photos.items():
            ways = {"apart": apart, "here": here}
            took: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(runs + 1):
                for name, way in ways.items():
                    took[name].append(milliseconds(lambda w=way, d=data: w.decode("x", d, 64.0)))
            row = {}
            for name, kind in (("quickest", min), ("median", statistics.median)):
                row |= {f"{way}, {name}": kind(values[1:]) for way, values in took.items()}
                row[f"added, {name}"] = row[f"apart, {name}"] - row[f"here, {name}"]
            found[f"{size:g} megapixels, ms"] = row
    finally:
        apart.stop()
    return found


def photo_file(height: int, width: int) -> bytes:
    """A JPEG of smooth colours with a camera's noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    pixels += rng.integers(-6, 7, pixels.shape, np.int16)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="of each way and size")
    print(json.dumps(measure(parser.parse_args().runs), indent=1))


if __name__ == "__main__":
    main()

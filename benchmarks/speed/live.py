"""What a camera's frame costs on the server, stage by stage, for the networks that are light.

    python -m benchmarks.speed.live --runs 20

The frame is an example photo at 640 x 480, made as small as the page does it. Networks whose
weights are not in the package get random ones: a time does not depend on them. What the browser and
the connection add is not in it; the page shows it as its latency.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import segmentation
from benchmarks.report.output import EXAMPLES
from benchmarks.report.tables import machine_line, markdown
from benchmarks.speed.baselines import load_ours, random_network
from benchmarks.speed.timing import Clock, in_turn, machine, spread, total
from page.service.models.model_pool import EMBEDDED, LIGHTWEIGHT_MODELS
from page.tabs.camera_sessions import map_size
from segmentation.inference.postprocessing import decide

CAMERA = (640, 480)  # (width, height) that the page asks a camera for
STAGES = ("decode", "network", "smooth", "decide", "encode")


def frame_script(segmenter: Any) -> Callable[[Clock], object]:
    """Time the stages of `CameraSessions.frame` for two frames in turn."""
    photo = Image.open(EXAMPLES / "chelsea.jpg").convert("RGB").resize(CAMERA)
    side = segmenter.model.card.resize
    scale = min(1.0, side / min(CAMERA))
    size = tuple(round(length * scale) for length in CAMERA)
    frames = [_jpeg(photo.resize(size)), _jpeg(photo.resize(size).rotate(3))]
    smoother = segmentation.Smoother()

    def run(clock: Clock) -> None:
        frames.reverse()
        with clock("decode"):
            image: np.ndarray = segmentation.open_photo(frames[0]).image
        with clock("network"):
            logits = segmenter.logits(image)
        with clock("smooth"):
            scores = smoother(logits, image, 0.1)
        with clock("decide"):
            decided = decide(scores, map_size(*image.shape[:2]))
        with clock("encode"):
            segmentation.encode_label_map(*decided)

    return run


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def measure(runs: int) -> dict[str, dict[str, list[float]]]:
    """Model -> stage -> seconds of each run."""
    with tempfile.TemporaryDirectory() as folder:
        contenders = {}
        for name in LIGHTWEIGHT_MODELS:
            if name == EMBEDDED:
                segmenter = segmentation.load(name, device="cpu")
            else:
                segmenter = load_ours(random_network(name), name, Path(folder))
            contenders[name] = frame_script(segmenter)
        return in_turn(contenders, runs, warm_ups=2)


def table(times: dict[str, dict[str, list[float]]]) -> str:
    """Milliseconds as median (minimum to maximum), and frames a second by the median."""
    rows = []
    for name, stages in times.items():
        whole = spread(total(stages), 1000)
        cells = [spread(stages[stage], 1000).text(1) for stage in STAGES]
        rows.append([name, *cells, whole.text(1), f"{1000 / whole.median:.1f}"])
    return markdown(["ms", *STAGES, "together", "frames a second"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="frames of each (default: 20)")
    options = parser.parse_args()
    print(machine_line(machine()), table(measure(options.runs)), sep="\n\n")


if __name__ == "__main__":
    main()

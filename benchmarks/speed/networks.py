"""Speed of the article's script, torchvision's preset, ours and other runtimes, in one run.

`python -m benchmarks.speed.networks` builds each network with seeded random weights (the time does
not depend on their values), alternates all contenders on the same photo, and prints one table: the
network alone, everything from the file's bytes to the PNG of an overlay, both as ratios against the
article's script, and the share of the best convolution's speed on this machine. ONNX Runtime and
OpenVINO take part if `requirements-bench.txt` is installed; their logits are compared with ours.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.report.output import Values, add_run_options, parser, positive, run
from benchmarks.speed import baselines
from benchmarks.speed.baselines import MODELS, PRESET_SIDE, load_ours, new_network
from benchmarks.speed.engines import Engine, difference, load_engines
from benchmarks.speed.original_script import SHORT_SIDE, article_transforms
from benchmarks.speed.peak import Peak, count_flops, count_with_zeros
from benchmarks.speed.speed_tables import speed_report, speed_targets
from benchmarks.speed.timing import Clock, Work, alternate
from segmentation.inference.optimized import fast_network
from segmentation.inference.precision import has_cpu_bfloat16

MAX_DIFFERENCE = 1e-3
"""Of the logits' range, in float32: with more, a contender runs another network."""


def measure_model(
    name: str, data: bytes, runs: int, size: int, peak: Peak, folder: Path
) -> dict[str, Any]:
    """Time one network in every way.

    Args:
        name: one of torchvision's networks.
        data: the photo's file.
        runs: recorded runs of each contender.
        size: shorter side in pixels of the networks' input; see `baselines.scripts`.
        peak: is measured again in each round.
        folder: for weights and exported networks.

    Returns:
        "sizes" ((h, w) of the input, of the article's network and of the others), "flops"
        (`_flops`), "times" (contender to stage to seconds), "difference" (contender to
        `engines.difference` from the exact logits).

    Raises:
        RuntimeError: a contender's float32 logits are not the network's.
    """
    network = baselines.random_network(name)
    kinds: dict[str, dict[str, Any]] = {"exact": {"exact": True}, "default": {}}
    if has_cpu_bfloat16():
        kinds["bfloat16"] = {"precision": "bfloat16"}
    chosen = None if size == PRESET_SIDE else size
    ours = {
        key: load_ours(network, name, folder, size=chosen, **options)
        for key, options in kinds.items()
    }
    image = Image.open(io.BytesIO(data)).convert("RGB")
    batch = ours["default"].preprocess(image, size=ours["default"].size)
    large = article_transforms(round(size * SHORT_SIDE / PRESET_SIDE))(image)
    alone: dict[str, Engine] = {
        "article_same_size": lambda array: network(torch.from_numpy(array))["out"]
    }
    alone |= load_engines(fast_network(network, side=None), batch, folder / "network.onnx")
    differences = _differences(name, ours, alone, batch)
    contenders = baselines.scripts(network, name, ours, data, size)
    contenders |= {key: _network_alone(engine, batch) for key, engine in alone.items()}
    contenders["peak"] = lambda clock: peak.measure()
    sizes = {"article": tuple(large.shape[-2:]), "ours": tuple(batch.shape[-2:])}
    return {
        "sizes": sizes,
        "flops": _flops(name, sizes),
        "times": alternate(contenders, runs),
        "difference": differences,
    }


def _network_alone(engine: Engine, batch: Tensor) -> Work:
    array = batch.numpy()

    def work(clock: Clock) -> None:
        with clock("network"):
            engine(array)

    return work


def _differences(
    name: str, ours: dict[str, Any], alone: dict[str, Engine], batch: Tensor
) -> dict[str, dict[str, float]]:
    logits = {key: segmenter._forward(batch)[0].numpy() for key, segmenter in ours.items()}
    expected = logits.pop("exact")
    for key, engine in alone.items():
        logits[key] = torch.as_tensor(engine(batch.numpy())).detach()[0].numpy()
    differences = {key: difference(values, expected) for key, values in logits.items()}
    for key, value in differences.items():
        if "bfloat16" not in key and value["share"] > MAX_DIFFERENCE:
            raise RuntimeError(
                f"{name}: the logits of {key} differ by {value['share']:.2%} of their range from "
                "the exact ones, so that is another network and its time is no comparison"
            )
    return differences


def _flops(name: str, sizes: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Return the operations of each contender; article and preset have the auxiliary head."""
    with torch.device("meta"):
        with_head = new_network(name, auxiliary=True).eval()
        without = new_network(name, auxiliary=False).eval()
    return {
        "article": count_flops(with_head, sizes["article"]),
        "preset": count_flops(with_head, sizes["ours"]),
        "ours": count_flops(without, sizes["ours"]),
        "ours, zeros included": count_with_zeros(without, sizes["ours"]),
    }


def measure(options: argparse.Namespace) -> Values:
    """Return the times of all requested models."""
    data, peak, models = options.photo.read_bytes(), Peak(), {}
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            print(f"{model} ...", file=sys.stderr, flush=True)
            models[model] = measure_model(model, data, options.runs, options.size, peak, Path(name))
    best = {key: {"gflops": speed, "of": shape} for key, (speed, shape) in peak.best.items()}
    return {"photo": options.photo.name, "runs": options.runs, "models": models, "peak": best}


def main() -> None:
    """Run the command line."""
    command = add_run_options(parser("benchmarks.speed.networks", __doc__), photo="astronaut.jpg")
    command.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="NAME")
    command.add_argument(
        "--size",
        type=positive,
        default=PRESET_SIDE,
        help="shorter side for the networks, to try the command out (default: the preset's 520)",
    )
    run(command.parse_args(), measure, speed_report, speed_targets)


if __name__ == "__main__":
    main()

"""How fast: the article's script, torchvision's preset, ours, and other runtimes, in one run.

`python -m benchmarks.speed.networks` builds each network with seeded random weights (the time does
not depend on their values), lets all contenders take turns on the same photo, and prints one table:
the network alone, and everything from the file's bytes to the PNG of an overlay, as ratios against
the article's script; and the share of the best convolution that this machine manages. ONNX Runtime
and OpenVINO join in where `requirements-bench.txt` is installed; their answers are compared with
ours.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import get_model

from benchmarks.report.output import EXAMPLES, RUNS, finish, parser, positive, result
from benchmarks.server.peak import Peak, count_flops, count_with_zeros
from benchmarks.speed import engines
from benchmarks.speed.baselines import MODELS, PRESET_SIDE, load_ours, random_network, scripts
from benchmarks.speed.original_script import SHORT_SIDE, article_transforms
from benchmarks.speed.speed_tables import speed_report, speed_targets
from benchmarks.speed.timing import Clock, Work, in_turn
from segmentation.inference.optimized import fast_network
from segmentation.inference.precision import has_cpu_bfloat16

MOST_DIFFERENCE = 1e-3
"""Of the logits' range, for float32: more, and somebody is running another network."""


def measure_model(
    name: str, data: bytes, runs: int, size: int, peak: Peak, folder: Path
) -> dict[str, Any]:
    """Time one network in every way.

    Args:
        name: one of torchvision's networks.
        data: the photo's file.
        runs: how many runs of each contender are kept.
        size: shorter side in pixels that the networks are shown; see `contenders.scripts`.
        peak: is measured again at each turn.
        folder: for weights and exported networks.

    Returns:
        "sizes" ((h, w) that the article's network and the others are shown), "flops" (`_flops`),
        "times" (contender to stage to seconds), "difference" (contender to `engines.difference`
        from the exact answer).

    Raises:
        RuntimeError: somebody's answer in float32 is not the network's.
    """
    network = random_network(name)
    options = {"size": None if size == PRESET_SIDE else size}
    ours = {
        "exact": load_ours(network, name, folder, exact=True, **options),
        "default": load_ours(network, name, folder, **options),
    }
    if has_cpu_bfloat16():
        ours["bfloat16"] = load_ours(network, name, folder, precision="bfloat16", **options)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    batch = ours["default"].preprocess(image, size=ours["default"].size)
    large = article_transforms(round(size * SHORT_SIDE / PRESET_SIDE))(image)
    alone = {"article_same_size": lambda array: network(torch.from_numpy(array))["out"]}
    alone |= _engines(network, batch, folder)
    differences = _differences(name, ours, alone, batch)
    contenders = scripts(network, name, ours, data, size)
    contenders |= {key: _network_alone(run, batch) for key, run in alone.items()}
    contenders["peak"] = lambda clock: peak.measure()
    sizes = {"article": tuple(large.shape[-2:]), "ours": tuple(batch.shape[-2:])}
    return {
        "sizes": sizes,
        "flops": _flops(name, sizes),
        "times": in_turn(contenders, runs),
        "difference": differences,
    }


def _engines(network: nn.Module, batch: Tensor, folder: Path) -> dict[str, engines.Engine]:
    """The other runtimes that are here, with the very network that our default runs."""
    here = engines.installed()
    if not here:
        return {}
    path = folder / "network.onnx"
    engines.export(fast_network(network, side=None), batch, path)
    made = {}
    if "onnxruntime" in here:
        made["onnxruntime"] = engines.onnx_runtime(path)
    if "openvino" in here:
        made["openvino"] = engines.open_vino(path, "f32")
        if has_cpu_bfloat16():
            made["openvino_bfloat16"] = engines.open_vino(path, "bf16")
    return made


def _network_alone(run: engines.Engine, batch: Tensor) -> Work:
    array = batch.numpy()

    def work(clock: Clock) -> None:
        with clock("network"):
            run(array)

    return work


def _differences(
    name: str, ours: dict[str, Any], alone: dict[str, engines.Engine], batch: Tensor
) -> dict[str, dict[str, float]]:
    answers = {key: segmenter._forward(batch)[0].numpy() for key, segmenter in ours.items()}
    expected = answers.pop("exact")
    for key, run in alone.items():
        answers[key] = torch.as_tensor(run(batch.numpy())).detach()[0].numpy()
    found = {key: engines.difference(answer, expected) for key, answer in answers.items()}
    for key, value in found.items():
        if "bfloat16" not in key and value["share"] > MOST_DIFFERENCE:
            raise RuntimeError(
                f"{name}: the answer of {key} is {value['share']:.2%} of the logits' range away "
                "from the exact one: that is another network, and its time says nothing"
            )
    return found


def _flops(name: str, sizes: dict[str, tuple[int, int]]) -> dict[str, int]:
    """What each has to compute: the article's and the preset's the auxiliary head too."""
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    with torch.device("meta"):
        whole = get_model(name, weights=None, weights_backbone=None, **auxiliary).eval()
        bare = get_model(name, weights=None, weights_backbone=None).eval()
    return {
        "article": count_flops(whole, sizes["article"]),
        "preset": count_flops(whole, sizes["ours"]),
        "ours": count_flops(bare, sizes["ours"]),
        "ours, zeros included": count_with_zeros(bare, sizes["ours"]),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All the models that were asked for, as plain values for JSON."""
    data = options.photo.read_bytes()
    values = result(photo=options.photo.name, runs=options.runs, models={})
    peak = Peak()
    with tempfile.TemporaryDirectory() as name:
        for model in options.models:
            print(f"{model} ...", file=sys.stderr, flush=True)
            values["models"][model] = measure_model(
                model, data, options.runs, options.size, peak, Path(name)
            )
    values["peak"] = {key: {"gflops": best, "of": of} for key, (best, of) in peak.best.items()}
    return values


def main() -> None:
    """Read the command line, measure and print."""
    command = parser("speed.networks", __doc__)
    command.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="NAME")
    command.add_argument("--runs", type=positive, default=RUNS)
    command.add_argument("--photo", type=Path, default=EXAMPLES / "astronaut.jpg")
    command.add_argument(
        "--size",
        type=positive,
        default=PRESET_SIDE,
        help="shorter side for the networks, to try the command out (default: the preset's 520)",
    )
    options = command.parse_args()
    values = measure(options)
    finish(values, speed_report(values), options.json, speed_targets(values))


if __name__ == "__main__":
    main()

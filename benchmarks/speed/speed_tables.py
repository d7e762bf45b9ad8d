"""The table and the targets of `benchmarks.speed.networks`."""

from typing import Any

from benchmarks.report.output import Values
from benchmarks.report.tables import Target, markdown, ratio
from benchmarks.speed.timing import STAGES, spread, total

NAMES = {
    "article": "article's script, 640 px",
    "article_same_size": "article's network, 520 px",
    "preset": "torchvision's preset",
    "exact": "ours, exact",
    "default": "ours, default",
    "bfloat16": "ours, bfloat16",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino_bfloat16": "OpenVINO, bfloat16",
}
HEADER = (
    "model, contender",
    "network alone, ms",
    "to the article's",
    "at the same size",
    "of the peak",
    "file to PNG, ms",
    "to the article's",
    *STAGES,
    "labels as exact",
)
BOUNDS = {
    "deeplabv3_resnet101": (3.3, 6.5),
    "deeplabv3_resnet50": (3.7, 7.0),
    "deeplabv3_mobilenet_v3_large": (4.5, 7.0),
    "lraspp_mobilenet_v3_large": (5.0, 6.0),
}
"""Speedup of the network alone over the article's script: float32, bfloat16."""
PEAK_PERCENT = 95.0
RIVALS = (
    ("default", "onnxruntime", 1.0),
    ("default", "openvino", 1.0),
    ("bfloat16", "openvino_bfloat16", 1.15),
)
"""Ours, another runtime, and the bound of the ratio of their times."""


def speed_report(values: Values) -> str:
    """Return the result of `benchmarks.speed.networks` as Markdown."""
    peaks = (
        f"{key} {peak['gflops']:.0f} GFLOP/s ({peak['of']})" for key, peak in values["peak"].items()
    )
    rows = [
        [f"{model}, {NAMES[key]}", *_cells(key, found, values["peak"])]
        for model, found in values["models"].items()
        for key in NAMES
        if key in found["times"]
    ]
    return (
        f"{values['photo']}, {values['runs']} alternating runs: median (minimum to maximum); "
        "stages in ms; ratios of medians. The share of the peak is the quickest run's. It counts "
        "no products with the zeros around the image, which are most of what an atrous convolution "
        "at rate 36 multiplies; the usual count does, and the target uses the usual count.\n\n"
        f"Best convolution of this machine in the same run: {'; '.join(peaks)}.\n\n"
    ) + markdown(HEADER, rows)


def _cells(key: str, found: dict[str, Any], peaks: dict[str, Any]) -> list[str]:
    times = found["times"]
    stages = times[key]
    network, article = spread(stages["network"], 1e3), spread(times["article"]["network"], 1e3)
    same = spread(times["article_same_size"]["network"], 1e3)
    cells = [
        network.text(),
        ratio(article.median / network.median),
        ratio(same.median / network.median) if key != "article" else "",
        f"{peak_percent(key, found, peaks):.0f} %",
    ]
    if len(stages) > 1:
        ours, theirs = spread(total(stages), 1e3), spread(total(times["article"]), 1e3)
        cells += [ours.text(), ratio(theirs.median / ours.median)]
        cells += [f"{spread(stages[stage], 1e3).median:.0f}" for stage in STAGES]
    else:
        cells += [""] * 6
    same_labels = found["difference"].get(key)
    return [*cells, f"{same_labels['labels']:.2%}" if same_labels else ""]


def peak_percent(key: str, found: dict[str, Any], peaks: dict[str, Any]) -> float:
    """Return the speed of a contender's network in per cent of the best convolution's."""
    kind = "article" if key == "article" else "ours"
    if key in ("article_same_size", "preset"):  # with the auxiliary head, at our size
        kind = "preset"
    best = peaks["bfloat16" if "bfloat16" in key else "float32"]["gflops"]
    return 100 * found["flops"][kind] / min(found["times"][key]["network"]) / 1e9 / best


def speed_targets(values: Values) -> list[Target]:
    """Return the targets of the network alone, by each contender's quickest run."""
    targets = []
    for model, found in values["models"].items():
        quickest = {key: min(stages["network"]) for key, stages in found["times"].items() if stages}
        for key, bound in zip(("default", "bfloat16"), BOUNDS[model], strict=True):
            if key not in quickest:
                continue
            name = f"{model}, {NAMES[key]}"
            same = ratio(quickest["article_same_size"] / quickest[key])
            targets.append(
                Target(
                    f"{name}: times as quick as the article's",
                    bound,
                    quickest["article"] / quickest[key],
                    note=f"{same} at the same size",
                )
            )
            if "resnet" in model:  # the usual count of operations, with the stricter one beside it
                strict, flops = peak_percent(key, found, values["peak"]), found["flops"]
                usual = strict * flops["ours, zeros included"] / flops["ours"]
                note = f"{strict:.0f} % without the zeros around the image"
                title = f"{name}: share of the peak"
                targets.append(Target(title, PEAK_PERCENT, usual, "%", note=note))
        targets += [
            Target(
                f"{model}, {NAMES[key]}: time beside {NAMES[rival]}",
                bound,
                quickest[key] / quickest[rival],
                upper=True,
            )
            for key, rival, bound in RIVALS
            if key in quickest and rival in quickest
        ]
    return targets

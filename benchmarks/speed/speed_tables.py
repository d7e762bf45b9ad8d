"""The table of `benchmarks.speed.networks`, and what of it was promised."""

from typing import Any

from benchmarks.report.tables import markdown, ratio
from benchmarks.report.targets import Target
from benchmarks.speed.timing import spread, total

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
    "decode",
    "preprocess",
    "postprocess",
    "encode",
    "labels as exact",
)
WANTED = {
    "deeplabv3_resnet101": (3.3, 6.5),
    "deeplabv3_resnet50": (3.7, 7.0),
    "deeplabv3_mobilenet_v3_large": (4.5, 7.0),
    "lraspp_mobilenet_v3_large": (5.0, 6.0),
}
"""Network alone against the article's script: float32, bfloat16."""
PEAK_PERCENT = 95.0
SLOWER_THAN_OTHERS, SLOWER_THAN_BFLOAT16 = 1.0, 1.15


def speed_report(values: dict[str, Any]) -> str:
    """All that a run of `benchmarks.speed.networks` says, as Markdown."""
    peaks = (
        f"{key} {peak['gflops']:.0f} GFLOP/s ({peak['of']})" for key, peak in values["peak"].items()
    )
    return "\n\n".join(
        [
            f"{values['photo']}, {values['runs']} runs in turn: median (minimum to maximum); "
            "stages in ms; ratios of medians. The share of the peak is the quickest run's. It "
            "counts no product with the zeros around the picture, which are most of what an "
            "atrous convolution at rate 36 multiplies; the usual count does, and the promise is "
            "held to that.",
            f"Best convolution of this machine in the same run: {'; '.join(peaks)}.",
            speed_table(values),
        ]
    )


def speed_table(values: dict[str, Any]) -> str:
    """A row for each model and contender."""
    rows = []
    for model, found in values["models"].items():
        for key in (key for key in NAMES if key in found["times"]):
            rows.append([f"{model}, {NAMES[key]}", *_cells(key, found, values["peak"])])
    return markdown(HEADER, rows)


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
        whole, theirs = spread(total(stages), 1e3), spread(total(times["article"]), 1e3)
        cells += [whole.text(), ratio(theirs.median / whole.median)]
        for stage in ("decode", "preprocess", "postprocess", "encode"):
            cells.append(f"{spread(stages[stage], 1e3).median:.0f}")
    else:
        cells += [""] * 6
    same_labels = found["difference"].get(key)
    return [*cells, f"{same_labels['labels']:.2%}" if same_labels else ""]


def peak_percent(key: str, found: dict[str, Any], peaks: dict[str, Any]) -> float:
    """How much of the best convolution's speed a contender's network reaches, in per cent."""
    flops = found["flops"]["article" if key == "article" else "ours"]
    if key in ("article_same_size", "preset"):  # with the auxiliary head, at our size
        flops = found["flops"]["preset"]
    best = peaks["bfloat16" if "bfloat16" in key else "float32"]["gflops"]
    return 100 * flops / spread(found["times"][key]["network"]).minimum / 1e9 / best


def speed_targets(values: dict[str, Any]) -> list[Target]:
    """The promises about the network alone; by each contender's quickest run."""
    targets = []
    for model, found in values["models"].items():
        quickest = {key: min(stages["network"]) for key, stages in found["times"].items() if stages}
        for key, wanted in zip(("default", "bfloat16"), WANTED[model], strict=True):
            if key not in quickest:
                continue
            same = ratio(quickest["article_same_size"] / quickest[key])
            targets.append(
                Target(
                    f"{model}, {NAMES[key]}: times as quick as the article's",
                    wanted,
                    quickest["article"] / quickest[key],
                    beside=f"{same} at the same size",
                )
            )
            if "resnet" in model:
                targets.append(_peak_target(model, key, found, values["peak"]))
        targets += _beside_others(model, quickest)
    return targets


def _peak_target(model: str, key: str, found: dict[str, Any], peaks: dict[str, Any]) -> Target:
    """By the usual count of a network's work, with the stricter one beside it."""
    strict, flops = peak_percent(key, found, peaks), found["flops"]
    usual = strict * flops["ours, zeros included"] / flops["ours"]
    what = f"{model}, {NAMES[key]}: share of the peak"
    beside = f"{strict:.0f} % without the zeros around the picture"
    return Target(what, PEAK_PERCENT, usual, "%", beside=beside)


def _beside_others(model: str, quickest: dict[str, float]) -> list[Target]:
    pairs = (
        ("default", "onnxruntime", SLOWER_THAN_OTHERS),
        ("default", "openvino", SLOWER_THAN_OTHERS),
        ("bfloat16", "openvino_bfloat16", SLOWER_THAN_BFLOAT16),
    )
    targets = []
    for key, other, wanted in pairs:
        if key in quickest and other in quickest:
            what = f"{model}, {NAMES[key]}: time beside {NAMES[other]}"
            slower = quickest[key] / quickest[other]
            targets.append(Target(what, wanted, slower, most=True))
    return targets

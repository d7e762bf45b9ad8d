"""The quick copy of a network against the network itself; precisions; what runs a batch."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import segmentation
from conftest import ROOT
from helpers.published import QUICK, by_size, random_network, save_random
from helpers.tiny import photo, save_program
from segmentation import ModelError, devices
from segmentation.inference import model_runner, onednn, optimized, precision
from segmentation.inference.model_runner import PRECISION_TRIALS
from segmentation.inference.onednn import PackedConv2d, can_pack
from segmentation.inference.optimized import fast_network, without_auxiliary_head
from segmentation.inference.precision import half_precision
from segmentation.networks.build import NETWORKS, build_network

EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
NAMES = by_size(name for name in NETWORKS if not name.endswith("resnet101"))


def settled(network: nn.Module) -> nn.Module:
    """Batch norms with statistics that matter."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_copy_says_the_same(name):
    torch.manual_seed(0)
    network = settled(build_network(name))
    batch = torch.randn(2, 3, 65, 98)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    quick = fast_network(network, num_classes=21)
    with torch.inference_mode():
        expected, found = network(batch)["out"], quick(batch)["out"]
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    kernels = [m.weight for m in quick.modules() if isinstance(m, nn.Conv2d)]
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    other = torch.randn(1, 3, 161, 64)  # packed for another size, right for every one
    with torch.inference_mode():
        expected, found = network(other)["out"], quick(other)["out"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_without_packing_it_says_the_same(name, monkeypatch):
    monkeypatch.setattr(optimized, "can_pack", lambda weight: False)
    torch.manual_seed(0)
    network = settled(build_network(name))
    batch = torch.randn(1, 3, 65, 98)
    with torch.inference_mode():
        expected, found = network(batch)["out"], fast_network(network)(batch)["out"]
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)


class Followed(nn.Module):
    """A convolution and what may follow it; what is read twice must not be melted into it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.act = {"hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid()}.get(
            kind, nn.ReLU()
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out = self.conv(features)
        if self.kind == "sum":
            out += features
        elif self.kind == "twice":
            return out + self.act(out)
        elif self.kind == "bare sum":
            return features + out
        elif self.kind == "number":
            out = out + 1.5
        elif self.kind == "self":
            out = out + out
        return self.act(out)


@pytest.mark.skipif(not can_pack(torch.zeros(1)), reason="this torch has no packed convolutions")
@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("relu", 1),
        ("hardswish", 1),
        ("hardsigmoid", 1),
        ("sum", 1),
        ("twice", 3),
        ("bare sum", 2),
        ("number", 3),
        ("self", 3),
    ],
)
def test_what_follows_a_convolution_is_melted_into_it_where_that_is_right(kind, left):
    torch.manual_seed(2)
    network = Followed(kind).eval().requires_grad_(False)
    features = torch.randn(2, 4, 9, 11)
    traced = torch.fx.symbolic_trace(network)
    expected = network(features.clone())
    with torch.inference_mode():
        conv = PackedConv2d(network.conv, (1, 4, 9, 11))
        torch.testing.assert_close(conv(features), network.conv(features))
        traced.conv = copy.deepcopy(network.conv)
        onednn._pack_node(*_first_conv(traced))
        traced.recompile()
        torch.testing.assert_close(traced(features.clone()), expected)
    steps = [n for n in traced.graph.nodes if n.op.startswith("call")]
    assert len(steps) == left


def _first_conv(traced: torch.fx.GraphModule) -> tuple:
    torch.fx.passes.shape_prop.ShapeProp(traced).propagate(torch.zeros(1, 4, 8, 8))
    node = next(n for n in traced.graph.nodes if n.op == "call_module")
    return traced, node, traced.conv, dict(traced.named_modules())


def test_the_auxiliary_head_is_left_out_and_stays_where_it_was():
    network = random_network("fcn_resnet50")
    assert network.aux_classifier is not None
    bare = without_auxiliary_head(network)
    assert bare.aux_classifier is None
    assert network.aux_classifier is not None
    assert bare.backbone is network.backbone
    parameters = sum(p.numel() for p in fast_network(network).parameters())
    assert parameters < sum(p.numel() for p in bare.parameters())  # batch norms are gone


def test_in_half_precision_the_last_layer_stays_in_float32():
    network = settled(build_network("deeplabv3plus_resnet18"))
    half = fast_network(network, "bfloat16", num_classes=21)
    kinds = (nn.Conv2d, PackedConv2d)
    dtypes = {m.weight.dtype for m in half.modules() if isinstance(m, kinds)}
    assert dtypes == {torch.bfloat16, torch.float32}
    last = [m for m in half.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 21]
    assert [m.weight.dtype for m in last] == [torch.float32]
    with torch.inference_mode():
        logits = half(torch.randn(1, 3, 64, 64))["out"]
    assert logits.dtype == torch.float32


class Moody(nn.Module):
    """Its forward depends on the values it sees: it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.classifier(batch if batch.mean() > 0 else -batch)}


def test_a_network_that_cannot_be_traced_runs_as_it_is():
    network = settled(Moody())
    batch = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    quick = fast_network(network, num_classes=4)
    with torch.inference_mode():
        torch.testing.assert_close(quick(batch)["out"], network(batch)["out"])


def agreement(name: str | Path, photos: list[Path], **options: object) -> tuple[float, set[str]]:
    """Share of all pixels that keep the label of the exact network, and the precisions used."""
    exact = segmentation.load(name, device="cpu", exact=True)
    other = segmentation.load(name, device="cpu", **options)
    same = total = 0
    used = set()
    for path in photos:
        expected, found = exact.predict(path), other.predict(path)
        same += int((expected.class_map == found.class_map).sum())
        total += expected.class_map.size
        used.add(found.precision)
        assert expected.precision == "float32"
    return same / total, used


def test_the_embedded_model_keeps_its_labels():
    share, used = agreement("embedded", EXAMPLES)
    assert share >= 0.999
    assert used == {"float32"}


def test_the_embedded_model_in_half_precision_keeps_most_labels():
    if half_precision(torch.device("cpu")) is None:
        pytest.skip("this processor does not compute in bfloat16 itself (see test_precision.py)")
    share, used = agreement("embedded", EXAMPLES, precision="auto")
    assert share >= 0.99
    assert used == {"bfloat16"}


@pytest.mark.shared
@pytest.mark.parametrize("step", [160, pytest.param(40, marks=pytest.mark.slow)])
def test_a_real_model_keeps_its_labels(step, shared):
    program = shared / "models" / "deeplabv3_mobilenet_v2_voc.pt2"
    photos = sorted((shared / "photos" / "val" / "JPEGImages").glob("*.jpg"))[::step]
    share, used = agreement(program, photos)
    assert share >= 0.999
    assert used == {"float32"}


def test_exact_is_bit_for_bit_the_network_as_it_is(tmp_path):
    file = save_random(QUICK, tmp_path / "w.pth")
    segmenter = segmentation.load(QUICK, device="cpu", weights=file, exact=True, size=97)
    picture = Image.fromarray(photo())
    with torch.inference_mode():
        expected = segmenter.model.network(segmenter.preprocess(picture, size=97))["out"][0]
    assert torch.equal(segmenter.predict(picture).logits, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "no precision 'int8': use float32, auto, bfloat16, float16"),
        (
            {"precision": "bfloat16", "exact": True},
            "exact results are in float32, not in bfloat16",
        ),
    ],
)
def test_precisions_that_cannot_be(options, message):
    with pytest.raises(ModelError, match=message):
        segmentation.load("embedded", device="cpu", **options)


class Chosen:
    """Stands for the quick copies: half precision gives the labels that a test chose."""

    def __init__(self, wrong: float) -> None:
        self.wrong = wrong
        self.made: list[str] = []

    def __call__(self, network: nn.Module, name: str, **options: object) -> nn.Module:
        self.made.append(name)

        def run(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = torch.zeros(1, 21, *batch.shape[-2:])
            logits[:, 1] = 1
            if name == "bfloat16":
                logits[..., : round(self.wrong * batch.shape[-1])] *= -1
            return {"out": logits}

        return run


@pytest.mark.parametrize(("wrong", "used"), [(0.0, "bfloat16"), (0.3, "float32")])
def test_auto_tries_half_precision_on_the_first_photos(wrong, used, tmp_path, monkeypatch):
    chosen = Chosen(wrong)
    monkeypatch.setattr(model_runner, "half_precision", lambda device: "bfloat16")
    monkeypatch.setattr(model_runner, "fast_network", chosen)
    path = save_program(tmp_path / "tiny.pt2")
    segmenter = segmentation.load(path, device="cpu", precision="auto")
    segmenter.warm_up()  # nothing is judged by it
    results = [segmenter.predict(photo()) for _ in range(PRECISION_TRIALS + 1)]
    assert [result.precision for result in results] == [used] * (PRECISION_TRIALS + 1)
    assert all((result.class_map == 1).all() for result in results)
    assert segmenter.precision == used
    assert sorted(chosen.made) == ["bfloat16", "float32"]


def test_auto_is_float32_where_there_is_no_native_half_precision(monkeypatch):
    monkeypatch.setattr(precision, "has_cpu_bfloat16", lambda: False)
    assert half_precision(torch.device("cpu")) is None
    assert segmentation.load("embedded", device="cpu", precision="auto").precision == "float32"
    monkeypatch.setattr(precision, "has_cpu_bfloat16", lambda: True)
    assert half_precision(torch.device("cpu")) == "bfloat16"
    assert half_precision(torch.device("mps")) is None


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "float16"), ((6, 1), None)])
def test_half_precision_on_cuda(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert half_precision(torch.device("cuda")) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["float32", "auto"])
def test_a_gpu_keeps_the_labels(name):
    share, used = [], set()
    exact = segmentation.load("embedded", device="cpu", exact=True)
    quick = segmentation.load("embedded", device="cuda", precision=name)
    for path in EXAMPLES:
        found = quick.predict(path)
        share.append((found.class_map == exact.predict(path).class_map).mean())
        used.add(found.precision)
    assert np.mean(share) >= 0.99
    assert used == {"float16" if name == "auto" else "float32"}


def test_batches_go_to_a_gpu_from_pinned_memory_without_waiting(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, *where, **how: asked.append((where, how)) or self
    )
    batch, cuda, cpu = torch.zeros(1, 3, 4, 4), torch.device("cuda:1"), torch.device("cpu")
    assert model_runner._to_device(batch, cuda) is batch
    assert asked == ["pinned", ((cuda,), {"non_blocking": True})]
    assert model_runner._to_device(batch, cpu) is batch
    assert asked[2:] == [((cpu,), {})]


def test_on_a_gpu_half_precision_is_left_to_autocast(monkeypatch, tmp_path):
    monkeypatch.setattr(model_runner, "half_precision", lambda device: "float16")
    made = []
    monkeypatch.setattr(
        model_runner, "fast_network", lambda *args, **options: made.append((args, options))
    )
    model = dataclasses.replace(
        segmentation.load("embedded", device="cpu").model, device=torch.device("cuda")
    )
    quick = model_runner.ModelRunner(model, precision="auto")
    assert quick.precision == "float16"
    quick._network("float16")
    quick._network("float32")
    assert [(args[1], options["autocast"]) for args, options in made] == [
        ("float16", True),
        ("float32", False),
    ]
    assert segmentation.Segmenter(model).supports_batching


def test_photos_of_one_size_go_through_the_network_together(tmp_path, monkeypatch):
    segmenter = segmentation.load("embedded", device="cpu")
    assert not segmenter.supports_batching  # on a CPU it gains nothing
    segmenter.supports_batching = True
    alone = [segmenter.predict(path) for path in (EXAMPLES[0], EXAMPLES[1], EXAMPLES[0])]
    batches = []
    forward = segmenter._forward
    monkeypatch.setattr(
        segmenter, "_forward", lambda batch: batches.append(batch.shape) or forward(batch)
    )
    many = segmenter.predict_many([EXAMPLES[0], EXAMPLES[1], EXAMPLES[0]])
    assert sorted(shape[0] for shape in batches) == [1, 2]
    for one, other in zip(alone, many, strict=True):
        assert (one.class_map == other.class_map).mean() > 0.999
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-3, atol=1e-3)
    assert segmenter.predict_many([]) == []


def test_compiling_is_asked_for_and_a_failure_is_told(monkeypatch, tmp_path):
    asked = []

    def compile(network: nn.Module) -> nn.Module:
        asked.append(network)

        def run(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            raise torch._dynamo.exc.BackendCompilerFailed(print, RuntimeError("no g++"), None)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    path = save_program(tmp_path / "tiny.pt2")
    segmenter = segmentation.load(path, device="cpu", compiled=True)
    with pytest.raises(ModelError, match=r"colour_net cannot be compiled on this machine.*C\+\+"):
        segmenter.predict(photo())
    assert [type(network) for network in asked] == [optimized.OptimizedNetwork]


@pytest.mark.parametrize(
    ("content", "cores", "set_to"),
    [("200000 100000", 8, 2), ("50000 100000", 8, 1), ("max 100000", 8, None), (None, 3, 3)],
)
def test_threads_fit_the_share_of_a_container(content, cores, set_to, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: set(range(cores)))
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    if content:
        (tmp_path / "cpu.max").write_text(content + "\n")
    assert devices.fit_threads(tmp_path) == (set_to or 8)
    assert asked == ([set_to] if set_to else [])
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert devices.fit_threads(tmp_path) == 8

"""A precision that a machine cannot compute in: probed once, and told in one sentence."""

import json
import os
import subprocess
import sys

import pytest
import torch

import segmentation
from conftest import ROOT
from segmentation.inference import model_runner, onednn, precision
from segmentation.inference.onednn import packs
from segmentation.inference.precision import half_precision, usable_precision

CPU = torch.device("cpu")
CHILD = """
import json, sys
import torch
import segmentation
from segmentation.cli.main import main
from segmentation.inference.optimized import fast_network
from segmentation.networks.build import build_network
from segmentation.inference.onednn import packs
from segmentation.inference.precision import half_precision

photo, program, out = sys.argv[1:]
told = {"packs": [packs(torch.float32), packs(torch.bfloat16)]}
told["half"] = half_precision(torch.device("cpu"))
maps = {}
for name in ("float32", "bfloat16", "auto"):
    for model in ("embedded", program):
        one = segmentation.load(model, device="cpu", precision=name, size=64)
        result = one.predict(photo)
        maps[name, model] = result.class_map
        told[f"{name} {model}"] = [result.precision, one.note]
both = (program, "embedded")
told["same"] = [bool((maps["bfloat16", m] == maps["float32", m]).all()) for m in both]
network = build_network("deeplabv3plus_resnet18").eval()
network = fast_network(network, "bfloat16", num_classes=21)
with torch.inference_mode():
    told["finite"] = bool(network(torch.zeros(1, 3, 64, 64))["out"].isfinite().all())
words = [photo, "--model", program, "--device", "cpu", "--precision", "bfloat16", "--out", out]
told["status"] = main(words)
print(json.dumps(told))
"""
NOTE = "this processor cannot compute in bfloat16: float32 is used instead."


def test_without_avx512_bfloat16_falls_back_with_one_sentence(tmp_path, tiny_program):
    """The capability is hidden from oneDNN in a child process, as an older processor lacks it."""
    photo = str(ROOT / "examples" / "rocket.jpg")
    hidden = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, photo, str(tiny_program), str(tmp_path)],
        env=os.environ | hidden,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    if told["packs"] == [True, True]:
        pytest.skip("ONEDNN_MAX_CPU_ISA hides no bfloat16 on this processor")
    assert told["half"] is None
    for model in ("embedded", str(tiny_program)):
        assert told[f"float32 {model}"] == ["float32", ""]
        assert told[f"auto {model}"] == ["float32", ""]
        assert told[f"bfloat16 {model}"] == ["float32", NOTE]
    assert told["same"] == [True, True]
    assert told["finite"]
    assert told["status"] == 0
    assert done.stderr.splitlines().count(f"note: {NOTE}") == 1


def test_where_the_processor_takes_bfloat16_it_is_used():
    if not packs(torch.bfloat16):
        pytest.skip("oneDNN takes no bfloat16 on this processor")
    one = segmentation.load("embedded", device="cpu", precision="bfloat16", size=64)
    assert one.predict(ROOT / "examples" / "rocket.jpg").precision == "bfloat16"
    assert one.note == ""


@pytest.mark.parametrize(
    "trouble", [RuntimeError("bf16 path needs avx512"), AttributeError("gone")]
)
def test_packing_is_probed_by_doing_it_and_once(trouble, monkeypatch):
    tried = []

    class Refuses:
        def __init__(self, *args: object) -> None:
            tried.append(args)
            raise trouble

    monkeypatch.setattr(onednn, "PackedConv2d", Refuses)
    packs.cache_clear()
    try:
        assert [packs(torch.float32) for _ in range(3)] == [False] * 3
        assert len(tried) == 1
        assert not onednn.can_pack(torch.zeros(1))
    finally:
        packs.cache_clear()


def test_packing_that_computes_something_else_is_not_used(monkeypatch):
    monkeypatch.setattr(onednn.PackedConv2d, "forward", lambda self, features: features[:, :1] * 0)
    packs.cache_clear()
    try:
        assert not packs(torch.float32)
    finally:
        packs.cache_clear()


def test_float64_and_integers_are_never_packed():
    assert not any(packs(dtype) for dtype in (torch.float64, torch.float16, torch.int8))


def test_bfloat16_instructions_that_onednn_does_not_use_do_not_count(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(precision, "packs", lambda dtype: False)
    assert half_precision(CPU) is None
    monkeypatch.setattr(precision, "packs", lambda dtype: True)
    assert half_precision(CPU) == "bfloat16"


def test_a_device_that_refuses_a_precision_is_named(monkeypatch):
    """As a Mac of an older system refuses bfloat16; its device is not here, the meta one is."""
    asked = []

    def refuse(*args: torch.Tensor) -> None:
        asked.append(args[0].dtype)
        raise TypeError("BFloat16 is not supported on MPS")

    monkeypatch.setattr(precision.F, "conv2d", refuse)
    precision._computes.cache_clear()
    try:
        meta = torch.device("meta")
        note = "the device meta cannot compute in bfloat16: float32 is used instead."
        assert usable_precision("bfloat16", meta) == ("float32", note)
        assert usable_precision("bfloat16", meta) == ("float32", note)
        assert usable_precision("float32", meta) == ("float32", "")
        assert asked == [torch.bfloat16]
    finally:
        precision._computes.cache_clear()


def test_the_note_of_a_runner_reaches_the_segmenter(tiny_program, monkeypatch):
    monkeypatch.setattr(
        model_runner, "usable_precision", lambda name, device: ("float32", "because.")
    )
    one = segmentation.load(tiny_program, device="cpu", precision="float16")
    assert (one.precision, one.note) == ("float32", "because.")


def test_trying_what_a_processor_can_do_draws_no_random_numbers():
    packs.cache_clear()
    before = torch.get_rng_state()
    packs(torch.float32)
    packs(torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)

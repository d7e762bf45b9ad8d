"""ONNX Runtime and OpenVINO on the same network, where requirements-bench.txt is installed."""

import importlib.util
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.inference.precision import has_cpu_bfloat16

Engine = Callable[[np.ndarray], np.ndarray]
"""A batch (1, 3, h, w) float32 to logits (1, C, h', w') float32."""


def installed() -> tuple[str, ...]:
    """Return which of "onnxruntime" and "openvino" can run on this machine."""
    if not all(map(importlib.util.find_spec, ("onnx", "onnxscript"))):
        return ()
    return tuple(name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name))


def load_engines(network: nn.Module, batch: Tensor, path: Path) -> dict[str, Engine]:
    """Return every installed runtime with a network, exported to `path` for one size of batch."""
    engines: dict[str, Engine] = {}
    if installed():
        export(network, batch, path)
    if "onnxruntime" in installed():
        engines["onnxruntime"] = onnx_runtime(path)
    if "openvino" in installed():
        engines["openvino"] = open_vino(path, "f32")
        if has_cpu_bfloat16():
            engines["openvino_bfloat16"] = open_vino(path, "bf16")
    return engines


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Tensor) -> Tensor:
        return self.network(batch)["out"]


def export(network: nn.Module, batch: Tensor, path: Path) -> None:
    """Write a network as ONNX for one size of batch.

    Args:
        network: in eval mode; batch to {"out": logits}.
        batch: (1, 3, h, w) float32.
        path: the file to write.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    options = {"input_names": ["batch"], "output_names": ["logits"], "external_data": False}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = _Logits(network).eval()
        torch.onnx.export(module, (batch,), path, dynamo=True, verbose=False, **options)


def onnx_runtime(path: Path) -> Engine:
    """Load an ONNX file with ONNX Runtime, on all threads.

    Its threads stop spinning when a run ends, so that they do not slow the next contender.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"batch": batch})[0]


def open_vino(path: Path, precision: str) -> Engine:
    """Load an ONNX file with OpenVINO, on all threads; it computes in "f32" or "bf16"."""
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
    return lambda batch: request.infer({0: batch}, share_inputs=True)[0]


def difference(logits: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Compare two logits (C, h, w) of the same network.

    Returns:
        "share": the largest difference as a share of `expected`'s range;
        "labels": the share of cells with the same winning class.

    Raises:
        ValueError: their shapes differ.
    """
    if logits.shape != expected.shape:
        raise ValueError(f"logits of {logits.shape} beside {expected.shape}: another network")
    extent = float(np.ptp(expected)) or 1.0
    return {
        "share": float(np.abs(logits - expected).max()) / extent,
        "labels": float((logits.argmax(0) == expected.argmax(0)).mean()),
    }

"""Other runtimes on the same network: ONNX Runtime and OpenVINO, where they are installed.

`pip install -r requirements-bench.txt` installs them; nothing else here needs them.
"""

import importlib.util
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Engine = Callable[[np.ndarray], np.ndarray]
"""A batch (1, 3, h, w) float32 to logits (1, C, h', w') float32."""


def installed() -> tuple[str, ...]:
    """Which of "onnxruntime" and "openvino" can be run here."""
    if not all(map(importlib.util.find_spec, ("onnx", "onnxscript"))):
        return ()
    return tuple(name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name))


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
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Logits(network).eval(),
            (batch,),
            path,
            input_names=["batch"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def onnx_runtime(path: Path) -> Engine:
    """ONNX Runtime on all threads; they rest as soon as a run ends, or they would slow the next."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"batch": batch})[0]


def open_vino(path: Path, precision: str) -> Engine:
    """OpenVINO on all threads.

    Args:
        path: an ONNX file.
        precision: "f32" or "bf16", in which it is to compute.
    """
    import openvino

    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        },
    )
    request = compiled.create_infer_request()

    def run(batch: np.ndarray) -> np.ndarray:
        return request.infer({0: batch}, share_inputs=True)[0]

    return run


def difference(logits: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """How far an answer is from another of the same network.

    Args:
        logits: (C, h, w).
        expected: (C, h, w).

    Returns:
        "share": the largest difference as a share of `expected`'s range;
        "labels": the share of cells with the same winning class.
    """
    if logits.shape != expected.shape:
        raise ValueError(f"logits of {logits.shape} beside {expected.shape}: another network")
    reach = float(expected.max() - expected.min()) or 1.0
    return {
        "share": float(np.abs(logits - expected).max()) / reach,
        "labels": float((logits.argmax(0) == expected.argmax(0)).mean()),
    }

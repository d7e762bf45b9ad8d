"""Checkpoints of training scripts are unwrapped as data; other files are named."""

import argparse
import collections
import datetime
import enum
import io
import os
import pathlib
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segmentation
from helpers.published import QUICK, random_network
from segmentation import ModelError, WeightsError
from segmentation.models.checkpoints.unwrap import network_state
from segmentation.models.weights import read_state_dict

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def whole() -> State:
    return random_network(QUICK).state_dict()


@pytest.fixture(scope="module")
def state(whole) -> State:
    """All names of a network with small tensors, each of them another."""
    return {
        key: torch.full((2,), index).to(value.dtype)
        for index, (key, value) in enumerate(whole.items())
    }


def before(start: str, state: State) -> State:
    return {f"{start}{key}": value for key, value in state.items()}


class Mode(enum.Enum):
    BEST = 1


class Config(dict):
    """As OmegaConf, EasyDict and Lightning's AttributeDict: a dictionary of a class of its own."""


LOSS = {"criterion.weight": torch.ones(21), "loss_fn.ce.weight": torch.ones(21)}
METRIC = {"val_metrics.iou.confmat": torch.zeros(21, 21)}
BESIDE: dict[str, Any] = {
    "args": argparse.Namespace(lr=0.01, model="x", output_dir=pathlib.Path("runs")),
    "best_miou": np.float64(0.71),
    "history": [np.float32(0.5), np.int64(3), np.arange(4), np.dtype("float32")],
    "path": pathlib.PurePosixPath("runs/1"),
    "when": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
    "took": datetime.timedelta(seconds=3),
    "mode": Mode.BEST,
    "config": Config(lr=0.1, steps=Config(a=1)),
    "counts": collections.defaultdict(int, a=1),
    "names": {"set", "of", "names"},
    "number": 1 << 80,
    "bytes": b"\x00\x01",
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"params": [0]}]},
    "scaler": {"scale": torch.ones(1)},
    "slice": slice(1, 2),
    "loss": nn.CrossEntropyLoss(torch.ones(3)),
    "solver": torch.optim.SGD([nn.Parameter(torch.ones(5))], lr=0.1),
    "none": None,
}
FORMS = {
    "plain": lambda s: s,
    "reference script": lambda s: {"model": s, "optimizer": {}, "epoch": 3, **BESIDE},
    **{
        name: (lambda s, name=name: {name: s, "epoch": 3})
        for name in ("model_state_dict", "model_state", "net", "network", "weights", "student", "x")
    },
    "lightning model": lambda s: {
        "state_dict": before("model.", s) | LOSS | METRIC,
        "hyper_parameters": Config(lr=1),
        "pytorch-lightning_version": "2.5",
    },
    "lightning net": lambda s: {"state_dict": LOSS | before("net.", s)},
    "lightning own parts": lambda s: {"state_dict": s | LOSS},
    "DataParallel": lambda s: before("module.", s),
    "compiled": lambda s: before("_orig_mod.", s),
    "compiled part": lambda s: {k.replace("backbone.", "backbone._orig_mod."): s[k] for k in s},
    "parallel part": lambda s: {k.replace("backbone.", "backbone.module."): s[k] for k in s},
    "averaged": lambda s: {"n_averaged": torch.tensor(7), **before("module.", s)},
    "averaged beside": lambda s: {
        "model_ema": {"n_averaged": torch.tensor(7), **before("module.", {k: s[k] * 0 for k in s})},
        "model": s,
    },
    "averaged alone": lambda s: {
        "model_ema": {"n_averaged": torch.tensor(7), **before("module.", s)}
    },
    "all at once": lambda s: {
        "checkpoint": {"state_dict": before("model._orig_mod.module.", s) | LOSS},
        **BESIDE,
    },
    "compiled DataParallel": lambda s: {"model": before("module._orig_mod.", s)},
    "teacher beside": lambda s: before("teacher.", {"a": torch.ones(1)}) | before("student.", s),
    "discriminator first": lambda s: {"model": {"conv.weight": torch.ones(2)}, "generator": s},
    "tuple": lambda s: (s, {"state": {}}, 3),
    "numbers beside": lambda s: {**s, "epoch": 3, "best": np.float64(1)},
    "deep": lambda s: {"a": {"b": [{"c": s}]}},
    "attribute": lambda s: argparse.Namespace(best=[argparse.Namespace(weights=s)]),
    "config class": lambda s: Config(model=Config(s)),
    "ordered": lambda s: {"model": collections.OrderedDict(s), "when": datetime.date(2026, 1, 1)},
    "parameters": lambda s: {
        "model": {
            k: nn.Parameter(v, v.is_floating_point()) if v.is_floating_point() else v
            for k, v in s.items()
        },
        "args": argparse.Namespace(),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_what_scripts_wrap_around_weights_is_taken_off(form, state, tmp_path):
    torch.save(FORMS[form](state), tmp_path / "w.pth")
    found = read_state_dict(tmp_path / "w.pth", expected=state.keys())
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) for key, value in state.items())


@pytest.mark.parametrize("form", ["reference script", "all at once"])
def test_a_network_is_loaded_from_them(form, whole, tmp_path):
    torch.save(FORMS[form](whole), tmp_path / "w.pth")
    loaded = segmentation.load(QUICK, device="cpu", weights=tmp_path / "w.pth")
    found = loaded.model.network.state_dict()
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[key], value) for key, value in whole.items())


@pytest.mark.parametrize(
    "options",
    [{"_use_new_zipfile_serialization": False}, *({"pickle_protocol": n} for n in (1, 3, 4, 5))],
)
def test_old_and_new_formats_with_a_namespace_beside(options, state, tmp_path):
    small = {key: state[key] for key in list(state)[:9]}
    torch.save({"model": before("module.", small), **BESIDE}, tmp_path / "w.pth", **options)
    read = read_state_dict(tmp_path / "w.pth")
    assert all(torch.equal(read[key], value) for key, value in small.items())
    assert read.keys() == small.keys()


def test_a_network_saved_whole_is_read_without_its_class(tmp_path):
    network = random_network(QUICK)
    network.register_buffer("seen", torch.zeros(3), persistent=False)
    torch.save({"net": nn.DataParallel(network), "epoch": 1}, tmp_path / "w.pth")
    loaded = segmentation.load(QUICK, device="cpu", weights=tmp_path / "w.pth").model.network
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_tensors_that_share_memory_and_strides_are_read_right(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    saved = {"a": base[1:3, ::2], "b": base.T, "c": base, "args": argparse.Namespace()}
    torch.save({"state_dict": saved}, tmp_path / "w.pth")
    read = read_state_dict(tmp_path / "w.pth")
    assert list(read) == ["a", "b", "c"]
    assert all(torch.equal(read[key], saved[key]) for key in read)


def test_names_decide_where_nothing_else_does():
    right = {"a.weight": torch.ones(1), "b.weight": torch.ones(2)}
    wrong = {"c.weight": torch.ones(1), "d.weight": torch.ones(2), "e": torch.ones(3)}
    for loaded in ({"model": wrong, "zzz": right}, [wrong, right], {**wrong, "x": {"y": right}}):
        assert network_state(loaded, right.keys()) == right
    assert network_state({"epoch": 3}) == {}
    assert network_state({"epoch": torch.tensor(3), "weights": right}) == right
    inner = {"model.weight": torch.ones(1), "head.weight": torch.ones(1)}
    assert network_state(inner, inner.keys()) == inner  # a network with a part called "model"
    assert network_state(before("model.", inner), inner.keys()) == inner


class Call:
    """Calls something when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_code_beside_weights_never_runs(options, tmp_path):
    mark = tmp_path / "mark"
    for function, args in ((os.mkdir, (str(mark),)), (eval, (f"open({str(mark)!r}, 'w')",))):
        saved = {"model": {"a": torch.ones(1)}, "args": Call(function, *args)}
        torch.save(saved, tmp_path / "w.pth", **options)
        with pytest.raises(WeightsError, match="which runs programs"):
            read_state_dict(tmp_path / "w.pth")
    # what no list knows by name is not run either
    touch = Call(pathlib.Path.touch, mark)
    torch.save({"model": {"a": torch.ones(1)}, "args": touch}, tmp_path / "w.pth", **options)
    assert list(read_state_dict(tmp_path / "w.pth")) == ["a"]
    assert not mark.exists()


PICKLES = {
    "memo": b"\x80\x02r\xff\xff\xff\x7f.",
    "class built": b"\x80\x02cargparse\nNamespace\n}X\x01\x00\x00\x00aK\x01sb.",
    "function built": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}"
    b"X\x0c\x00\x00\x00__defaults__)sb.",
    "extension": b"\x80\x02\x82\x01.",
    "itself": b"\x80\x02]q\x00h\x00a.",
    "cut": b"\x80\x02}X\x05\x00\x00",
    "deep": b"\x80\x02" + b"(" * 20_000 + b"t" * 20_000 + b".",
    "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "stack": b"\x80\x020.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_odd_pickles_are_refused_in_words(name, tmp_path):
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    torch.save({"a": torch.ones(1)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as good:
        parts = {entry: good.read(entry) for entry in good.namelist()}
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as bad:
        for entry, data in parts.items():
            bad.writestr(entry, PICKLES[name] if entry.endswith("data.pkl") else data)
    with pytest.raises(WeightsError) as caught:
        read_state_dict(tmp_path / "w.pth")
    check_words(str(caught.value))
    assert torch._utils._rebuild_tensor_v2.__defaults__ == defaults


def check_words(text: str) -> None:
    """No terminal codes, no second line, no advice to switch safe loading off."""
    assert text.isprintable()
    assert not any(word in text for word in ("weights_only", "safe_globals", "trust"))


def html() -> bytes:
    return b"<!DOCTYPE html>\n<html><title>Google Drive - Virus scan warning</title></html>"


def safetensors() -> bytes:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(header)) + header + bytes(4)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Conv2d(1, 1, 1)), file)
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
ONNX = b"\x08\x0a\x12\x07pytorch\x1a\x052.9.0" + b":\xff\x01" + bytes(range(256))
OTHERS = {
    "w.pth": (lambda: LFS, "a Git LFS pointer, not the file: fetch it with git lfs pull"),
    "page.pth": (html, "a web page"),
    "bom.pth": (lambda: b"\xef\xbb\xbf\n <html lang=de>\xc3\xa4</html>", "a web page"),
    "xml.pth": (lambda: b"<?xml version='1.0'?><Error>NoSuchKey</Error>", "an XML text"),
    "w.safetensors": (safetensors, "a safetensors file: load it with safetensors.torch"),
    "renamed.pth": (safetensors, "a safetensors file"),
    "w.onnx": (lambda: ONNX, "an ONNX network"),
    "onnx.pth": (lambda: ONNX, "an ONNX network"),
    "w.h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file, as Keras writes"),
    "w.keras": (lambda: zipped("config.json", "model.weights.h5"), "a Keras model"),
    "w.tflite": (lambda: b"\x1c\0\0\0TFL3" + bytes(range(200)), "a TensorFlow Lite network"),
    "w.pb": (lambda: b"\n\x1f\n\x05input\x12\x0bPlaceholder\xff", "a TensorFlow graph"),
    "w.npz": (npz, "a NumPy archive"),
    "w.npy": (lambda: b"\x93NUMPY\x01\0" + bytes(100), "a NumPy array"),
    "w.tar": (tarred, "a tar archive: unpack it"),
    "w.pth.gz": (lambda: b"\x1f\x8b\x08" + bytes(range(99)), "packed with gzip: unpack it"),
    "in.zip": (lambda: zipped("best.pth"), "a zip archive with weights inside: unpack it"),
    "docs.zip": (lambda: zipped("readme.md"), "a zip archive without weights"),
    "script.pt": (scripted, "a TorchScript program"),
    "empty.pth": (lambda: b"", "empty"),
    "zeros.pth": (lambda: bytes(5000), "nothing but zeros"),
    "index.json": (lambda: b'{"weight_map": {}}', "a JSON text"),
    "notes.pth": (lambda: "Gewichte: später\n".encode(), "a text of 18 bytes"),
    "photo.pth": (lambda: b"\xff\xd8\xff\xe0" + bytes(99), "a JPEG picture"),
    "w.gguf": (lambda: b"GGUF\x03" + bytes(99), "a GGUF file"),
}


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_named_for_what_they_are(name, tmp_path):
    make, kind = OTHERS[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(WeightsError) as caught:
        read_state_dict(tmp_path / name)
    assert f"{name} holds no PyTorch weights: it is {kind}" in str(caught.value)
    check_words(str(caught.value))


def test_what_torch_did_not_save_is_refused_in_words(tmp_path):
    (tmp_path / "p.pth").write_bytes(pickle.dumps({"a": np.ones(3)}))
    torch.save({"a\x1b[31m": Call(print, "\x1b[1mx")}, tmp_path / "c.pth")
    torch.save({"a\x1b[31m\nb": 3}, tmp_path / "k.pth")
    torch.save({"c.weight\x1b[31m\nb": torch.ones(1)}, tmp_path / "n.pth")
    for name in ("p", "c", "k"):
        with pytest.raises(WeightsError) as caught:
            read_state_dict(tmp_path / f"{name}.pth")
        check_words(str(caught.value))
    with pytest.raises(WeightsError) as caught:
        segmentation.load(QUICK, device="cpu", weights=tmp_path / "n.pth")
    check_words(str(caught.value))


def test_a_wrong_hash_names_the_kind_too(tmp_path):
    (tmp_path / "net-00000000.pth").write_bytes(LFS)
    with pytest.raises(WeightsError, match=r"begin with 00000000.*\(it is a Git LFS pointer"):
        read_state_dict(tmp_path / "net-00000000.pth")


def test_no_message_carries_a_terminals_commands(tmp_path):
    path = tmp_path / "\x1b[31mred\x1b]0;title\x07.pth"
    path.write_bytes(LFS)
    with pytest.raises(WeightsError) as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(f"{tmp_path}/red.pth holds no PyTorch weights")
    assert str(ModelError("a\x1b[1mb\x07\x9b31mc\nd")) == "ab?c\nd"


def test_a_folder_is_named(tmp_path):
    with pytest.raises(WeightsError, match="it is a folder, name the file in it"):
        read_state_dict(Path(tmp_path))

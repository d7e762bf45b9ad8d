"""Exported programs with code, pickles or false sizes are refused before torch loads them."""

import io
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch.export import Dim

from helpers import tamper
from helpers.tiny import ColourNet, save_program
from segmentation import ModelError
from segmentation.models.exported.program import load_program

CPU = torch.device("cpu")
FREE = ({2: Dim.AUTO, 3: Dim.AUTO},)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A program with dynamic sides and a card."""
    return save_program(tmp_path_factory.mktemp("program") / "good.pt2")


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def with_evil_operator(graph: dict, mark: Path, target: str = "torch.os.mkdir") -> None:
    node = {
        "target": target,
        "inputs": [{"name": "", "arg": {"as_string": str(mark)}, "kind": 1}],
        "outputs": [{"as_none": True}],
        "metadata": {},
        "is_hop_single_tensor_return": None,
        "name": "evil",
    }
    graph["graph_module"]["graph"]["nodes"].append(node)


def with_evil_size(graph: dict, mark: Path) -> None:
    for meta in graph["graph_module"]["graph"]["tensor_values"].values():
        for size in meta["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = f"__import__('os').mkdir('{mark}') or 5"


def with_evil_name(graph: dict, mark: Path) -> None:
    evil = json.dumps(f"batch=__import__('os').mkdir('{mark}')")
    changed = json.loads(json.dumps(graph).replace('"batch"', evil))
    graph.clear()
    graph.update(changed)


def with_dotted_name(graph: dict, mark: Path) -> None:
    changed = json.loads(json.dumps(graph).replace('"batch"', '"torch.load"'))
    graph.clear()
    graph.update(changed)


def with_evil_tree(graph: dict, mark: Path) -> None:
    tree = {
        "type": "collections.defaultdict",
        "context": json.dumps({"default_factory_module": "os", "default_factory_name": "mkdir"}),
        "children_spec": [],
    }
    signature = graph["graph_module"]["module_call_graph"][0]["signature"]
    signature["in_spec"] = json.dumps([1, tree])


EVIL_GRAPHS = {
    "operator": (with_evil_operator, "calls 'torch.os.mkdir'"),
    "file operator": (
        lambda graph, mark: with_evil_operator(graph, mark, "torch.ops.aten.from_file.default"),
        "calls 'torch.ops.aten.from_file.default'",
    ),
    "attribute": (
        lambda graph, mark: with_evil_operator(graph, mark, "torch.ops.aten.relu.__class__"),
        "calls 'torch.ops.aten.relu.__class__'",
    ),
    "size": (with_evil_size, "no plain arithmetic"),
    "name": (with_evil_name, "a name that is not allowed"),
    "name of a function": (with_dotted_name, "'torch.load'"),
    "tree": (with_evil_tree, "inputs or outputs are of type 'collections.defaultdict'"),
}


@pytest.mark.parametrize("attack", EVIL_GRAPHS)
def test_code_in_a_graph_is_refused_before_anything_is_loaded(attack, good, tmp_path):
    change, message = EVIL_GRAPHS[attack]
    mark = tmp_path / "mark"
    path = tamper.change_graph(good, tmp_path / "evil.pt2", lambda graph: change(graph, mark))
    with pytest.raises(ModelError, match=message):
        load_program(path, CPU)
    assert not mark.exists()


@pytest.mark.parametrize(
    "size",
    [
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "Pow(Integer(10), Integer(999999999))",
        "9**9**9",
        "Symbol('s0').__class__",
        "Symbol('os')",
        "Integer(1) if 1 else 2",
        "(lambda: 1)()",
        "[1]",
        "1;2",
        "9" * 2000,
    ],
)
def test_sizes_that_are_no_plain_arithmetic_are_refused(size, good, tmp_path):
    def change(graph: dict) -> None:
        for meta in graph["graph_module"]["graph"]["tensor_values"].values():
            meta["sizes"][-1] = {"as_expr": {"expr_str": size, "hint": None}}

    path = tamper.change_graph(good, tmp_path / "evil.pt2", change)
    with pytest.raises(ModelError, match="no plain arithmetic"):
        load_program(path, CPU)


def test_guards_traces_and_sample_inputs_are_left_behind(good, tmp_path):
    mark = tmp_path / "mark"

    def change(graph: dict) -> None:
        graph["guards_code"] = [f"__import__('os').mkdir('{mark}') is None"]

    path = tamper.change_graph(good, tmp_path / "a.pt2", change)
    evil = saved((Evil(mark),))
    path = tamper.change_part(path, tmp_path / "b.pt2", "data/sample_inputs/model.pt", evil)
    path = tamper.change_part(path, tmp_path / "c.pt2", "data/weights/model.pt", evil)
    program = load_program(path, CPU)
    batch = torch.rand(1, 3, 16, 16)
    assert torch.equal(program.network(batch)["out"], ColourNet()(batch)["out"])
    assert not mark.exists()


def test_pickled_tensors_and_objects_are_refused(good, tmp_path):
    mark = tmp_path / "mark"
    content = tamper.parts(good)
    name = "data/weights/model_weights_config.json"
    table = json.loads(content[name])
    entry = table["config"]["classify.weight"]
    entry["use_pickle"] = True
    changed = {
        name: json.dumps(table).encode(),
        f"data/weights/{entry['path_name']}": saved(Evil(mark)),
    }
    constants = {"config": {"k": {"path_name": "opaque_obj_0", "use_pickle": True}}}
    opaque = {
        "data/constants/model_constants_config.json": json.dumps(constants).encode(),
        "data/constants/opaque_obj_0": pickle.dumps(Evil(mark)),
    }
    for parts in (changed, opaque):
        path = tamper.write(tmp_path / "evil.pt2", {**content, **parts})
        with pytest.raises(ModelError, match="stored as a Python object, which could run code"):
            load_program(path, CPU)
    assert not mark.exists()


def test_tensors_that_claim_more_than_they_have_are_refused(good, tmp_path):
    content = tamper.parts(good)
    name = "data/weights/model_weights_config.json"
    table = json.loads(content[name])
    table["config"]["classify.bias"]["tensor_meta"]["sizes"] = [{"as_int": 1 << 50}]
    path = tamper.write(tmp_path / "big.pt2", {**content, name: json.dumps(table).encode()})
    with pytest.raises(ModelError, match=f"claims {4 << 50} bytes in a part of 84"):
        load_program(path, CPU)


def test_compiled_code_is_refused(good, tmp_path):
    path = tamper.change_part(good, tmp_path / "c.pt2", "data/aotinductor/model/x.so", b"\x7fELF")
    with pytest.raises(ModelError, match="compiled code, which is not run"):
        load_program(path, CPU)


def test_programs_of_an_old_format_are_not_unpickled(tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "old.pt2"
    tamper.write(path, {"serialized_state_dict.pt": saved(Evil(mark)), "version": b"8.1"})
    with pytest.raises(ModelError, match="cannot be used"):
        load_program(path, CPU)
    assert not mark.exists()

"""A `.pt2` that would take memory or time without bound is refused before it does."""

import io
import json
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._export.serde.schema import ScalarType
from torch._export.serde.serialize import deserialize_scalar_type

from helpers import tamper
from helpers.tiny import ColourNet, card, save_program
from segmentation import ModelError
from segmentation.models.checkpoints import zips
from segmentation.models.exported import archive, archive_limits
from segmentation.models.exported.program import load_program

CPU = torch.device("cpu")
TABLE = "data/weights/model_weights_config.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A program with dynamic sides and a card."""
    return save_program(tmp_path_factory.mktemp("program") / "good.pt2")


@pytest.fixture(scope="module")
def content(good) -> dict[str, bytes]:
    return tamper.parts(good)


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Fails where a refused file gets as far as torch or as our own walk through its graph."""

    def fail(*_):
        raise AssertionError("it went on with a file that it must refuse")

    monkeypatch.setattr(torch.export, "load", fail)
    monkeypatch.setattr(archive, "_checked", fail)


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_program(path, CPU)


def changed_table(content: dict[str, bytes], path: Path, change) -> Path:
    """A program whose table of tensors was changed."""
    table = json.loads(content[TABLE])
    change(table["config"])
    return tamper.write(path, {**content, TABLE: json.dumps(table).encode()})


def packed(content: dict[str, bytes], path: Path) -> Path:
    """A program whose parts are compressed, as no torch writes them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, data in content.items():
            file.writestr(f"{path.stem}/{name}", data)
    return path


@pytest.mark.parametrize("part", ["data/weights/weight_0", "data/weights/unused", "extra/x.bin"])
def test_a_small_file_with_large_parts_is_not_unpacked(
    part, content, tmp_path, monkeypatch, nothing_is_loaded
):
    path = packed({**content, part: bytes(64 << 20)}, tmp_path / "bomb.pt2")
    assert path.stat().st_size < 1 << 20

    def fail(*_, **__):
        raise AssertionError("a part was unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    refused(path, r"its \d+ bytes unpack to 67\d{6}: torch packs nothing")


def test_parts_that_overlap_count_as_often_as_they_are_named(content, tmp_path):
    """Two entries of the table of parts for the same 8 MB, sixteen times."""
    path = tamper.write(tmp_path / "overlap.pt2", {**content, "extra/large.bin": bytes(8 << 20)})
    with zipfile.ZipFile(path, "a") as file:
        large = file.getinfo("overlap/extra/large.bin")
        for number in range(16):
            copy = zipfile.ZipInfo(f"overlap/extra/{number}.bin")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(copy, field, getattr(large, field))
            file.filelist.append(copy)
        file._didModify = True
    refused(path, "unpack to")


def test_weights_that_are_a_small_file_with_large_parts_are_not_unpacked(tmp_path, monkeypatch):
    """A `.pth` file is a zip archive as well."""
    plain, path = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    torch.save({"weight": torch.zeros(16 << 20)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part in source.infolist():
            file.writestr(part.filename, source.read(part))
    assert zips.zip_error(plain) is None
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    assert "torch packs nothing, so save it anew" in zips.zip_error(path)


def test_a_program_that_was_packed_again_is_read(content, tmp_path):
    assert load_program(packed(content, tmp_path / "packed.pt2"), CPU).card.name == "colour_net"


@pytest.mark.parametrize("extra", [1, 4, 1 << 20])
def test_a_part_with_more_bytes_than_its_tensors_need_is_refused(extra, content, tmp_path):
    entry = json.loads(content[TABLE])["config"]["classify.bias"]["path_name"]
    name = f"data/weights/{entry}"
    path = tamper.write(tmp_path / "slack.pt2", {**content, name: content[name] + bytes(extra)})
    refused(path, rf"its part '{entry}' has {84 + extra} bytes, but its tensors need 84")


@pytest.mark.parametrize("missing", [1, 4, 84])
def test_a_part_with_fewer_bytes_is_refused(missing, content, tmp_path):
    name = f"data/weights/{json.loads(content[TABLE])['config']['classify.bias']['path_name']}"
    path = tamper.write(tmp_path / "cut.pt2", {**content, name: content[name][:-missing]})
    refused(path, f"claims 84 bytes in a part of {84 - missing}")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dtype", ScalarType.DOUBLE, "claims 168 bytes in a part of 84"),
        ("dtype", ScalarType.HALF, "has 84 bytes, but its tensors need 42"),
        ("dtype", 99, "is of an unknown type, 99"),
        ("dtype", [7], "is of an unknown type"),
        ("sizes", [{"as_int": 20}], "but its tensors need 80"),
        ("sizes", [{"as_int": -21}], "has no plain sizes"),
        ("sizes", [{"as_int": True}], "has no plain sizes"),
        ("sizes", [{"as_int": 10**4000}], "claims 4"),
        ("sizes", [{"as_int": 1}] * 100, "has no plain sizes"),
        ("sizes", 7, "has no plain sizes"),
        ("strides", [{"as_int": 2}], "claims 164 bytes in a part of 84"),
        ("strides", [{"as_int": 1}, {"as_int": 1}], "has 1 sizes, 2 strides"),
        ("storage_offset", {"as_int": 1}, "claims 88 bytes in a part of 84"),
        ("storage_offset", {"as_expr": {"expr_str": "s0"}}, "has no plain sizes"),
    ],
)
def test_a_tensor_described_wrongly_is_refused(field, value, message, content, tmp_path):
    def change(table):
        table["classify.bias"]["tensor_meta"][field] = value

    refused(changed_table(content, tmp_path / "wrong.pt2", change), message)


def test_one_part_named_by_very_many_tensors_is_refused(content, tmp_path):
    def change(table):
        table.update({f"w{i}": table["classify.weight"] for i in range(10_001)})

    refused(changed_table(content, tmp_path / "many.pt2", change), "at most 10000 are read")


def test_tensors_that_repeat_one_value_without_end_are_refused(content, tmp_path):
    def change(table):
        meta = table["classify.bias"]["tensor_meta"]
        meta["sizes"] = [{"as_int": 21}, {"as_int": 1 << 40}]
        meta["strides"] = [{"as_int": 1}, {"as_int": 0}]

    refused(changed_table(content, tmp_path / "wide.pt2", change), "claim 9\\d+ bytes in parts of")


class Shared(nn.Module):
    """The tiny network's colours through weights that share one piece of memory."""

    def __init__(self, share: str) -> None:
        super().__init__()
        weight = ColourNet().classify.weight.detach()  # (21, 3, 4, 4)
        whole = torch.cat([weight, torch.ones_like(weight)])  # (42, 3, 4, 4)
        if share == "slice":
            self.weight = nn.Parameter(whole[:21])
        elif share == "clone":
            self.weight = nn.Parameter(whole[:21].clone())
        elif share == "halves":
            self.weight = nn.Parameter(whole[:21])
            self.other = nn.Parameter(whole[21:])
        else:
            self.weight = nn.Parameter(weight)
            self.other = self.weight

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Batch (N, 3, H, W) to {"out": logits (N, 21, H / 4, W / 4)}."""
        out = nn.functional.conv2d(x, self.weight, stride=4)
        return {"out": out + self.other.mean() if hasattr(self, "other") else out}


def shared(share: str, path: Path) -> Path:
    program = torch.export.export(Shared(share).eval(), (torch.rand(1, 3, 64, 64),))
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card())})
    return path


@pytest.mark.parametrize("share", ["clone", "tied", "halves"])
def test_weights_that_share_memory_are_read(share, tmp_path):
    program = load_program(shared(share, tmp_path / "s.pt2"), CPU)
    batch = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(program.network(batch)["out"], Shared(share)(batch)["out"])


def test_a_slice_that_drags_the_whole_along_is_refused_with_the_remedy(tmp_path):
    refused(shared("slice", tmp_path / "slice.pt2"), r"export the network with weight\.clone\(\)")


def grown(good: Path, path: Path, count: int, where: str = "graph") -> Path:
    """A program with `count` more nodes, in its graph or in a graph within its graph."""

    def change(program):
        nodes = program["graph_module"]["graph"]["nodes"]
        more = [{**nodes[0], "inputs": list(nodes[0]["inputs"]), "metadata": {}}] * count
        if where == "graph":
            nodes += more
        else:
            argument = {"name": "g", "arg": {"as_graph": {"name": "g", "graph": {"nodes": more}}}}
            nodes[0]["inputs"].append(argument)

    return tamper.change_graph(good, path, change)


@pytest.mark.parametrize("where", ["graph", "nested graph"])
def test_sixty_thousand_nodes_are_refused_within_five_seconds(
    where, good, tmp_path, nothing_is_loaded
):
    path = grown(good, tmp_path / "deep.pt2", 60_000, where)
    begin = time.process_time()
    refused(path, r"its graph has 600\d\d nodes: at most 10000 are read|at most \d+ are read")
    assert time.process_time() - begin < 5


def test_a_graph_is_counted_by_its_nodes(good, tmp_path, monkeypatch):
    graph = json.loads(tamper.parts(good)["models/model.json"])
    nodes = len(graph["graph_module"]["graph"]["nodes"])
    monkeypatch.setattr(archive_limits, "MAX_NODES", nodes)
    archive_limits.check_graph_size(graph)
    monkeypatch.setattr(archive_limits, "MAX_NODES", nodes - 1)
    with pytest.raises(ModelError, match=f"its graph has {nodes} nodes"):
        archive_limits.check_graph_size(graph)


def test_very_many_symbolic_sizes_are_refused(good, tmp_path, nothing_is_loaded):
    def change(program):
        size = {"as_expr": {"expr_str": "Symbol('s0')", "hint": None}}
        program["graph_module"]["graph"]["sym_int_values"] = {f"a{i}": size for i in range(100_001)}

    path = tamper.change_graph(good, tmp_path / "sizes.pt2", change)
    refused(path, "symbolic sizes: at most 100000 are read")


@pytest.mark.parametrize("part", ["models/model.json", TABLE])
@pytest.mark.parametrize("text", [b"[" + b"[]," * 1_000_001 + b"0]", b"{}" + b"," * 2_000_001])
def test_json_of_very_many_values_is_not_parsed(part, text, good, tmp_path, monkeypatch):
    path = tamper.change_part(good, tmp_path / "values.pt2", part, text)
    parse = json.loads

    def short(data, *rest):
        assert len(data) < 1 << 20, "it was parsed"
        return parse(data, *rest)

    monkeypatch.setattr(json, "loads", short)
    refused(path, "values: at most 2000000 are read")


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_json_nested_without_end_is_refused(depth, good, tmp_path):
    text = b'{"a":' * depth + b"0" + b"}" * depth
    refused(
        tamper.change_part(good, tmp_path / "d.pt2", "models/model.json", text), "cannot be used"
    )


def zip64(table: int) -> bytes:
    """The last records of a zip64 archive whose table of parts has so many bytes."""
    record = b"PK\6\6" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, table, 0)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, 0, 1)
    return record + locator + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, 46, 0, 0)


def test_a_table_of_parts_without_end_is_not_read(tmp_path, monkeypatch):
    large = 5 << 20
    plain = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, large, 0, 0)
    for number, tail in enumerate((plain, zip64(large), zip64(1 << 60))):
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(bytes(large) + tail)
        refused(path, r"its table of parts has \d+ bytes: at most 4194304 are read")


def test_the_table_of_parts_is_measured_as_python_does(good):
    data = good.read_bytes()
    end = zipfile._EndRecData(io.BytesIO(data))
    assert zips._table_bytes(io.BytesIO(data)) == end[zipfile._ECD_SIZE]
    assert zips._table_bytes(io.BytesIO(b"no archive")) == 0


def test_the_sizes_of_values_are_torchs():
    known, of_torch = archive_limits.ITEM_BYTES, {}
    for kind in ScalarType:
        try:
            of_torch[int(kind)] = deserialize_scalar_type(kind).itemsize
        except KeyError:
            continue
    assert {kind: known.get(kind) for kind in of_torch} == of_torch


class Odd(nn.Module):
    """The tiny network's colours beside tensors of other shapes, types and layouts."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = ColourNet()
        self.norm = nn.BatchNorm2d(21)  # with a counter, an int64 without sides
        self.register_buffer("wide", torch.zeros(1).expand(21))  # one value for 21
        self.register_buffer("turned", torch.zeros(4, 21).t())  # not contiguous
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("short", torch.zeros(21, dtype=torch.bfloat16))
        self.register_buffer("mask", torch.zeros(21, dtype=torch.bool))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Batch (N, 3, H, W) to {"out": logits (N, 21, H / 4, W / 4)}."""
        out = self.norm(self.colours(x)["out"])
        extra = self.wide + self.turned.sum(1) + self.short.float() + self.mask + self.empty.sum()
        return {"out": out + extra[:, None, None] + torch.tensor([0.5])}  # a constant of the graph


def test_tensors_of_every_layout_are_read(tmp_path):
    path = tmp_path / "odd.pt2"
    program = torch.export.export(Odd().eval(), (torch.rand(1, 3, 64, 64),))
    torch.export.save(program, path, extra_files={"model.json": json.dumps(card())})
    batch = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(
            load_program(path, CPU).network(batch)["out"], Odd().eval()(batch)["out"]
        )

import errno
import hashlib
import logging
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from helpers.published import publishing
from segmentation import WeightsError, fetch_weights, find_weights
from segmentation.models import download as download_module
from segmentation.models import weights
from segmentation.models.weights import hash_in_name, hub_cache_dir, read_state_dict

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty hub cache, and no folder of the person's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("PIXELWISE_WEIGHTS", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def publisher(tmp_path):
    """A server that publishes a state dict."""
    torch.save(STATE, tmp_path / "published.pth")
    with publishing((tmp_path / "published.pth").read_bytes()) as running:
        yield running


def listing(folder: Path) -> set[str]:
    """The files but for locks, which stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_download_lands_in_the_hub_cache_whole_and_is_not_fetched_twice(publisher):
    spec = publisher.spec()
    assert find_weights(spec) is None
    seen = []
    path = fetch_weights(spec, lambda done, total: seen.append((done, total)))
    assert path == hub_cache_dir() / spec.file == find_weights(spec)
    assert path.read_bytes() == publisher.data
    assert seen[-1] == (len(publisher.data), len(publisher.data))
    assert listing(hub_cache_dir()) == {spec.file}
    assert fetch_weights(spec) == path
    assert publisher.asked == [f"/{spec.file}"]


def test_progress_goes_to_standard_error_by_default(publisher, capsys):
    spec = publisher.spec()
    fetch_weights(spec)
    out, err = capsys.readouterr()
    assert out == ""
    assert spec.file in err


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("short", r"after \d+ of \d+ bytes"), ("missing", "server answered 404")],
)
def test_a_broken_download_leaves_nothing_and_the_next_one_works(publisher, mode, reason):
    publisher.mode = mode
    spec = publisher.spec()
    with pytest.raises(WeightsError, match=reason):
        fetch_weights(spec)
    assert listing(hub_cache_dir()) == set()
    publisher.mode = "good"
    assert fetch_weights(spec).read_bytes() == publisher.data


def test_a_file_that_is_not_the_published_one_is_refused(publisher):
    spec = publisher.spec(digest="0123abcd")
    with pytest.raises(WeightsError, match=r"not the published file .* not 0123abcd"):
        fetch_weights(spec)
    assert listing(hub_cache_dir()) == set()


def test_no_network_says_what_was_looked_for_and_where_and_what_to_do(publisher, monkeypatch):
    spec = publisher.spec()
    publisher.shutdown()
    publisher.server_close()
    with pytest.raises(WeightsError) as caught:
        fetch_weights(spec)
    text = str(caught.value)
    for part in (
        spec.file,
        spec.url,
        str(hub_cache_dir()),
        "PIXELWISE_WEIGHTS (not set)",
        "no connection",
        "on a machine with a network",
        "--model embedded",
    ):
        assert part in text


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_broken_file_in_the_cache_is_removed_and_fetched_again(publisher, damage, caplog):
    spec = publisher.spec()
    path = fetch_weights(spec)
    whole = path.read_bytes()
    flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else flipped)
    with caplog.at_level(logging.WARNING):
        assert fetch_weights(spec).read_bytes() == whole
    assert "removed and fetched again" in caplog.text
    assert len(publisher.asked) == 2


def test_a_broken_file_in_the_cache_is_removed_without_a_network_too(publisher):
    spec = publisher.spec()
    path = fetch_weights(spec)
    path.write_bytes(b"half")
    publisher.mode = "missing"
    with pytest.raises(WeightsError, match="404"):
        fetch_weights(spec)
    assert not path.exists()


def test_the_persons_folder_comes_before_the_cache(publisher, tmp_path, monkeypatch):
    spec = publisher.spec()
    cached = fetch_weights(spec)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("PIXELWISE_WEIGHTS", str(own))
    assert find_weights(spec) == cached
    (own / f"{spec.name}.pth").write_bytes(b"named after the model")
    assert find_weights(spec) == own / f"{spec.name}.pth"
    (own / spec.file).write_bytes(publisher.data)
    assert fetch_weights(spec) == own / spec.file


def test_a_broken_file_in_the_persons_folder_is_refused_and_kept(publisher, tmp_path, monkeypatch):
    spec = publisher.spec()
    monkeypatch.setenv("PIXELWISE_WEIGHTS", str(tmp_path))
    (tmp_path / spec.file).write_bytes(b"broken")
    with pytest.raises(WeightsError, match="does not begin with"):
        fetch_weights(spec)
    assert (tmp_path / spec.file).read_bytes() == b"broken"
    assert publisher.asked == []


def test_a_folder_that_is_not_there_is_an_error(publisher, monkeypatch):
    monkeypatch.setenv("PIXELWISE_WEIGHTS", "/nowhere/at/all")
    for function in (find_weights, fetch_weights):
        with pytest.raises(WeightsError, match="set to '/nowhere/at/all', but there is no such"):
            function(publisher.spec())


def test_many_at_once_download_once(publisher):
    publisher.mode = "slow"
    spec = publisher.spec()
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch_weights(spec))) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    publisher.gate.set()
    for thread in threads:
        thread.join()
    assert paths == [hub_cache_dir() / spec.file] * 5
    assert publisher.asked == [f"/{spec.file}"]
    assert listing(hub_cache_dir()) == {spec.file}


def test_a_kill_in_the_middle_leaves_nothing_that_counts(publisher):
    publisher.mode = "slow"
    spec = publisher.spec()
    child = os.fork()
    if child == 0:
        fetch_weights(spec)
        os._exit(0)
    deadline = time.monotonic() + 30
    while not list(hub_cache_dir().glob("*.part") if hub_cache_dir().is_dir() else []):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (part,) = hub_cache_dir().glob("*.part")
    assert find_weights(spec) is None
    publisher.mode = "good"
    assert fetch_weights(spec).read_bytes() == publisher.data
    # another process may still be writing it: only an old one goes
    assert part.exists()
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(part, (long_ago, long_ago))
    (hub_cache_dir() / spec.file).unlink()
    fetch_weights(spec)
    assert listing(hub_cache_dir()) == {spec.file}


def test_a_cache_that_cannot_be_made_says_so(publisher, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="cannot write there: Not a directory"):
        fetch_weights(publisher.spec())


def test_a_full_disk_says_so_and_leaves_nothing(publisher, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download_module.os, "fsync", full)
    with pytest.raises(WeightsError, match="cannot write there: No space left on device"):
        fetch_weights(publisher.spec())
    assert listing(hub_cache_dir()) == set()


def test_a_read_only_cache_says_so(publisher, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(weights, "FileLock", refuse)  # root may write anywhere: pretend
    with pytest.raises(WeightsError, match="cannot write there: Permission denied"):
        fetch_weights(publisher.spec())


def test_the_hash_is_read_from_the_name():
    assert hash_in_name(Path("deeplabv3_resnet101_coco-586e9e4e.pth")) == "586e9e4e"
    for name in ("plain.pth", "my-net.pth", "my-586e9e4.pth", "x-586e9e4g.pth"):
        assert hash_in_name(Path(name)) is None


@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_are_read_from_every_common_wrapper(tmp_path, legacy):
    path = tmp_path / "w.pth"
    for saved in (
        STATE,
        {"model": STATE, "epoch": 3},
        {"state_dict": STATE},
        {f"module.{key}": value for key, value in STATE.items()},
    ):
        torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
        read = read_state_dict(path)
        assert list(read) == list(STATE)
        assert all(torch.equal(read[key], value) for key, value in STATE.items())


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_weights_file_never_runs(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"layer.weight": Evil(mark)}, tmp_path / "w.pth")
    (tmp_path / "p.pth").write_bytes(pickle.dumps(Evil(mark)))
    for name in ("w.pth", "p.pth"):
        with pytest.raises(WeightsError, match="was refused: it is no plain state dict"):
            read_state_dict(tmp_path / name)
    assert not mark.exists()


def test_every_truncation_and_change_is_noticed(tmp_path):
    torch.save(STATE, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    values = whole.index(STATE["layer.weight"].numpy().tobytes())
    damaged = [whole[:cut] for cut in range(0, len(whole), 97)]
    damaged.append(whole[:values] + b"\x01" + whole[values + 1 :])
    for data in damaged:
        (tmp_path / "d.pth").write_bytes(data)
        with pytest.raises(WeightsError, match=r"d\.pth"):
            read_state_dict(tmp_path / "d.pth")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ([1, 2], "holds a list, not a state dict"),
        ({}, "holds a dict, not a state dict"),
        ({"a": 1}, "its entry 'a' is a int, not a tensor"),
        ({3: torch.ones(1)}, "its entry '3'"),
        (torch.ones(3), "holds a Tensor"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path, saved, message):
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        read_state_dict(tmp_path / "w.pth")


def test_a_named_file_must_be_what_its_name_says(tmp_path):
    torch.save(STATE, tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    right, wrong = tmp_path / f"net-{digest[:8]}.pth", tmp_path / "net-00000000.pth"
    right.write_bytes((tmp_path / "w.pth").read_bytes())
    wrong.write_bytes((tmp_path / "w.pth").read_bytes())
    assert set(read_state_dict(right)) == set(STATE)
    with pytest.raises(WeightsError, match="does not begin with 00000000"):
        read_state_dict(wrong)
    assert wrong.exists()
    with pytest.raises(WeightsError, match="there is no weights file"):
        read_state_dict(tmp_path / "nothing.pth")
    with pytest.raises(WeightsError, match="there is no weights file"):
        read_state_dict(tmp_path)

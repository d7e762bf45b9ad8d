import pytest
import torch

from segmentation import DeviceError, ModelError, pick_device


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with these devices."""

    def pretend(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


def test_auto_takes_cuda_then_mps_then_cpu(machine):
    machine(cuda=1, mps=True)
    assert pick_device("auto") == torch.device("cuda")
    machine(mps=True)
    assert pick_device("auto") == torch.device("mps")
    machine()
    assert pick_device() == torch.device("cpu")


def test_named_devices_that_are_here_are_taken_as_named(machine):
    machine(cuda=2, mps=True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert pick_device(name) == torch.device(name)
    assert pick_device(torch.device("cuda:1")) == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_named_device_that_is_not_here_is_never_exchanged(machine, name):
    machine()
    with pytest.raises(DeviceError, match=f"device '{name}' is not available: .*use auto or cpu"):
        pick_device(name)


def test_an_index_beyond_the_last_names_what_there_is(machine):
    machine(cuda=2)
    with pytest.raises(DeviceError, match=r"this machine has 2 of type cuda.*use cuda:1 or auto"):
        pick_device("cuda:2")
    with pytest.raises(DeviceError, match="this machine has 1 of type cpu"):
        pick_device("cpu:1")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "CPU ", None, 3.5])
def test_other_names_are_refused_with_the_known_ones(machine, name):
    machine(cuda=1)
    with pytest.raises(DeviceError, match="use auto, cpu, cuda, cuda:N") as caught:
        pick_device(name)
    assert isinstance(caught.value, ModelError)

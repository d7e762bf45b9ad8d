"""The 2015 network: its shape, and its sizes with padding."""

import pytest
import torch
from torch import nn

from segmentation.networks.unet import UNet


def test_it_is_the_published_network():
    network = UNet(2)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    ups = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    # "In total the network has 23 convolutional layers" (section 2), up-convolutions included.
    assert len(convs) + len(ups) == 23
    widths = [(m.in_channels, m.out_channels) for m in convs]
    assert widths == [
        *[(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)],
        *[(256, 512), (512, 512), (512, 1024), (1024, 1024)],
        *[(1024, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 128)],
        *[(128, 64), (64, 64), (64, 2)],
    ]
    assert [(m.in_channels, m.kernel_size) for m in ups] == [
        (c, (2, 2)) for c in (1024, 512, 256, 128)
    ]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 50), (1, 1)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_size_in_is_size_out(size, batch_norm):
    network = UNet(5, channels=(4, 8, 12), batch_norm=batch_norm).eval()
    assert network(torch.randn(2, 3, *size))["out"].shape == (2, 5, *size)


def test_odd_sizes_are_continued_by_the_border():
    network = UNet(3, channels=(4, 8)).eval()
    odd = torch.randn(1, 3, 5, 7)
    even = torch.nn.functional.pad(odd, (0, 1, 0, 1), mode="replicate")
    torch.testing.assert_close(network(odd)["out"], network(even)["out"][..., :5, :7])


def test_first_skip_joins_the_finest_size():
    network = UNet(3, channels=(4, 8, 16)).eval()
    seen = []
    network.expanding[-1].register_forward_hook(lambda m, args, out: seen.append(args[0].shape))
    network(torch.zeros(1, 3, 8, 12))
    assert seen == [(1, 8, 8, 12)]  # 4 channels of the skip, 4 of the up-convolution

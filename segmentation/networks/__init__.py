"""Networks as `nn.Module`s with random weights: DeepLabV3+, U-Net and torchvision's.

`build.py` builds a network by name. Networks are independent of weights, photos and categories.
Imports `segmentation.errors`.
"""

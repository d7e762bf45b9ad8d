"""Networks as `nn.Module`s with random weights: DeepLabV3+ and U-Net, and torchvision's by name.

`build.py` makes one by its name. A network knows its layers and nothing else: no weights, no
photos, no categories. Imports `segmentation.errors`.
"""

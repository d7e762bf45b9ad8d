"""Label every pixel of an image: preprocessing, network, postprocessing, result.

`segmenter.py` runs these steps in order. Logits are upsampled before each pixel's class is decided.
May import `models` and the packages below it.
"""

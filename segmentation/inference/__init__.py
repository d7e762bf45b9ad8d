"""From a picture to a decision for every pixel: preprocessing, network, postprocessing, result.

`segmenter.py` is the way through; logits are upsampled first and decided after. Imports `models`
and what lies below it.
"""

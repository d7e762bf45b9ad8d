"""Checkpoint files read as data only: no class in them is created and no function called.

`reader.py` loads a file, `unwrap.py` finds the network's weights in what training scripts save.
Imports `segmentation.errors` only.
"""

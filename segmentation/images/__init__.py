"""Decode image files to (H, W, 3) uint8 RGB arrays, and encode class maps as PNG files.

`photo.py` opens a photo; `formats/` has this project's own readers. Imports the colour tables and
errors of `segmentation`, never a network.
"""

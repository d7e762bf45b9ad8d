"""From any picture file to a (H, W, 3) uint8 RGB array, and from class maps to PNG files.

`photo.py` is where a picture is opened; `formats/` has the readers of our own. Imports the colour
tables and errors of `segmentation`, never a network.
"""

"""From a file's bytes to its pixels, on Linux in a process that can do nothing else.

`decoder_process.py` hands files to it, `decoder_child.py` runs in it, `sandbox.py` takes its rights
away. Imports `images.formats`, `images.color` and Pillow.
"""

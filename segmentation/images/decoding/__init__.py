"""Decode a file's bytes to pixels, on Linux in a sandboxed process.

`decoder_process.py` sends files to the process, `decoder_child.py` runs in it, `sandbox.py` drops
its rights. Imports `images.formats`, `images.color` and Pillow.
"""

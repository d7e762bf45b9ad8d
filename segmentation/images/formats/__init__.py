"""Readers for files that general decoders get wrong: BMP, TIFF, odd PNG and JPEG files.

Each module takes bytes and returns samples, or raises an `ImageError` that names what it found.
Imports `segmentation.errors` and its neighbours only.
"""

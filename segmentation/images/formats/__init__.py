"""Header checks, and readers for files that general decoders get wrong: BMP, TIFF, PNG, JPEG.

Each reader takes bytes and returns samples, or raises an `ImageError` that names what it found.
Imports `segmentation.errors`, `images.file_types` and `images.value_range` only.
"""

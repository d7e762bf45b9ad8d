"""A person's own network as an exported program (`.pt2`) with its card.

The archive is checked part by part and rebuilt without anything executable before torch loads it.
Imports `models.card`, `models.checkpoints` and `segmentation.errors`.
"""

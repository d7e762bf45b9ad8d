"""Read a user's own network, an exported program (`.pt2`) with a card.

The archive is checked part by part and rebuilt without executable parts before torch loads it.
Imports `models.card`, `models.checkpoints` and `segmentation.errors`.
"""

"""Find, download, check and load models: a network with its weights and its card.

`registry.py` has the names, `card.py` the categories and preprocessing, `loader.py` assembles a
model. Imports `networks` and lower packages.
"""

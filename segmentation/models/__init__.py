"""A model is a network with its weights and its card: found, fetched, checked and loaded here.

`registry.py` has the names, `card.py` the categories and preprocessing, `loader.py` puts the parts
together. Imports `networks` and what lies below it.
"""

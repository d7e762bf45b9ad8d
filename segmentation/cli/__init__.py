"""`python -m segmentation`: options, the loop over photos, terminal messages.

`main.py` is the entry point. May import all other packages; none of them imports this one.
"""

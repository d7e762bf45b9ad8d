"""`python -m segmentation`: options, the loop over photos, terminal messages.

`main.py` is the entry point. Imports everything below it; nothing imports the command line.
"""

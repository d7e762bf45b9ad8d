"""`python -m segmentation`: options, the loop over photos, messages for the terminal.

`main.py` is the way through. Imports everything below it; nothing imports the command line.
"""

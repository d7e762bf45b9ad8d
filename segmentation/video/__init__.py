"""Clips and moving pictures: FFmpeg as a child process, labels that do not flicker.

`labeler.py` turns a clip into a labelled clip. Imports `inference` and what lies below it.
"""

"""Label video: FFmpeg as a child process, and labels smoothed over time.

`labeler.py` labels a whole clip. Imports `inference` and what lies below it.
"""

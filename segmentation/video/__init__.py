"""Label video: FFmpeg as a child process, and labels smoothed over time.

`labeler.py` labels a clip. May import `inference` and the packages below it.
"""

"""The HTTP server around Gradio: start and stop, routes, headers, files, cameras.

`middleware.py` checks and refuses requests. May import all of `page`.
"""

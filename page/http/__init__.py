"""The server around Gradio: start and stop, routes, headers, files, cameras.

`middleware.py` is where a request is refused. Imports everything of `page`.
"""

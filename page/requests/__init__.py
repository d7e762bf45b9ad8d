"""Checks of a request before Gradio gets it: size, call, upload, origin and login.

Each has a module whose functions raise `HttpError`. May import `page.options` and `page.storage`.
"""

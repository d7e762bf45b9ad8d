"""Gradio components of our own that more than one tab uses.

Photo inputs, HTML boards, the page itself. Imports `viewer` and `page.service`.
"""

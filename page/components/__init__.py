"""Our own Gradio components that more than one tab uses.

Photo inputs, HTML boards, the page itself. May import `viewer` and `page.service`.
"""

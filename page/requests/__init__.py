"""What a request may carry and where it comes from, checked before Gradio sees it.

Sizes, calls, uploads, origins, logins: each has a module that raises `HttpError`. Imports
`page.options` and `page.storage`.
"""

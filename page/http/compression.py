"""Compression of the page's HTML: 0.6 MB of text, of which an eighth is left.

Gradio's middleware compresses its scripts and styles by Brotli already, and leaves the HTML as it
is. Everything else of ours that is text goes through Starlette's `GZipMiddleware`.
"""

import brotli  # Gradio needs it

QUALITY = 5
"""Of Brotli, 0 to 11: 77 kB in 50 ms on one core of an AMD EPYC (Zen 5); 4 gives 84, 11 gives 68 in
1.8 s. gzip gives 113 kB."""


def compressed(html: bytes, accepted: str) -> bytes | None:
    """Return HTML compressed by Brotli, or None where the browser does not take that.

    Args:
        html: The whole text.
        accepted: The request's Accept-Encoding header.
    """
    encodings = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if "br" not in encodings:
        return None
    return brotli.compress(html, mode=brotli.MODE_TEXT, quality=QUALITY)

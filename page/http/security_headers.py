"""The headers that every answer carries: what a browser may do with the page."""

from collections.abc import Sequence

# Gradio's page has its start and its styles within the HTML, and makes functions of the scripts
# of custom components; nothing is ever taken from another host.
_PAGE = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
# A file that a visitor uploaded shows nothing but itself, and nobody runs it.
_FILE = {"default-src": "'none'", "style-src": "'unsafe-inline'", "sandbox": ""}


def security_headers(embed: Sequence[str], *, is_file: bool = False) -> dict[str, str]:
    """Headers of one answer.

    Args:
        embed: origins whose pages may show this one in a frame; "*" means any; none means nobody.
        is_file: the answer is an uploaded or produced file.
    """
    parts = dict(_FILE if is_file else _PAGE)
    parts["frame-ancestors"] = " ".join(embed) if embed else "'none'"
    headers = {
        "content-security-policy": "; ".join(f"{k} {v}".strip() for k, v in parts.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin",
    }
    if not embed:
        headers["x-frame-options"] = "DENY"
        headers["cross-origin-resource-policy"] = "same-origin"
    return headers

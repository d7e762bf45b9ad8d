"""Security headers of every response: what a browser may do with the page."""

from collections.abc import Sequence

# Gradio's HTML has inline scripts and styles, and it compiles the scripts of custom components
# (unsafe-eval). Nothing is loaded from another host.
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
# An uploaded file loads nothing else, and its scripts do not run.
_FILE = {"default-src": "'none'", "style-src": "'unsafe-inline'", "sandbox": ""}


def security_headers(embed: Sequence[str], *, is_file: bool = False) -> dict[str, str]:
    """Return the headers of one response.

    Args:
        embed: origins whose pages may show this one in a frame; "*" means any, none forbids frames.
        is_file: the response is an uploaded or produced file.
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

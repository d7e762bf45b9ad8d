"""What the page's events have in common."""

from typing import Any

QUIETLY: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""An event that shows no progress of Gradio's own and is no endpoint."""

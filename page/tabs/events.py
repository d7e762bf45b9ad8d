"""What the page's events have in common."""

from typing import Any

QUIETLY: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""An event that shows no progress of Gradio's own and is no endpoint."""
QUEUED: dict[str, Any] = {"concurrency_limit": None}
"""An event that runs the network: `Scheduler.join` lets it in or refuses it, and not Gradio."""

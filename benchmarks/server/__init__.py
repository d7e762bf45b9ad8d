"""Memory, load and CPU cost of the page under many requests."""

"""The page on many machines: Ray Serve before the same `app.build_demo`."""

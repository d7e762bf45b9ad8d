"""The page on many machines: Ray Serve in front of the same `page.demo.build_demo`."""

"""The policy of one process: which model labels, in which order, for how long, and what is kept.

`labeling_service.py` is the way through. Knows neither Gradio nor HTTP; imports `segmentation`.
"""

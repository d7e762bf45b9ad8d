"""Where networks come from: in this process, on a borrowed GPU, or still downloading.

`model_pool.py` holds the loaded models. Imports `segmentation` and `page.options`.
"""

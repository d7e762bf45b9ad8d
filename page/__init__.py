"""The parts of the Gradio page: options, service, handlers, looks and words.

`page/demo.py` puts them together. This package knows Gradio and calls `segmentation`; it holds no
tensors.
"""

from page.service.models.zerogpu import find_spaces

find_spaces()  # on a ZeroGPU Space, before anything else touches CUDA; elsewhere it does nothing

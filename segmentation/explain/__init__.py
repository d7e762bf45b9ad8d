"""Show how a network arrived at a label: ablation, receptive fields, feature and probability maps.

The modules take networks, tensors, arrays and results, and return arrays; they draw and serve
nothing. They may import `networks`, `inference` and the packages below these, but no page.
"""

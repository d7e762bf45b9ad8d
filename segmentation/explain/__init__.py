"""From a pixel's label back to why: what a network's parts did with a photo.

Everything here takes networks, tensors and arrays and returns arrays; nothing draws or serves.

`parts` takes a network apart, `aspp` is the microscope for its pyramid, `receptive` asks what a
pixel looks at, `features` what each stage holds, `evidence` turns logits into maps, `perturb`
breaks photos on purpose, `heat` colours numbers. Each is imported by its own name.
"""

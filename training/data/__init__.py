"""Photos and masks for training: data sets, augmentation, crops, canvases, the pipeline."""

"""Label every pixel of a photo with a pretrained segmentation network."""

"""Layers that take the maximum or the mean over windows of a sequence, an image or a volume, or over the whole."""

"""Layers that take the maximum or the mean of parts of a sequence, an image or a volume, or of all of it."""

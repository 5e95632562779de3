"""Layers in which each element of a sequence reads from the elements of a sequence."""

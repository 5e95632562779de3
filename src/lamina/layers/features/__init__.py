"""Layers that make numbers of raw features: words, categories, whole texts, sound, and columns of numbers."""

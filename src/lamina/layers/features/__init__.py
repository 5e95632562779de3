"""Layers for raw features: words, categories, texts, sound, and columns of numbers."""

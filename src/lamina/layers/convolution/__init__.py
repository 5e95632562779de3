"""Layers that slide a small kernel over a sequence, an image or a volume."""

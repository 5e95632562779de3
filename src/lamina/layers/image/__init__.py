"""Layers that resize images, and that change them at random while training."""

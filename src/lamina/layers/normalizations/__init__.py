"""Layers that bring their input, or a kernel, to a common scale."""

"""Layers that normalize their input, or a kernel."""

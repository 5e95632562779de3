"""Layers that go through a sequence step by step, and the cells that they do it with."""

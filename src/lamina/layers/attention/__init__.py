"""Attention layers: each element of one sequence reads from the elements of a sequence."""

"""Formulas that are written by hand because XLA's versions are slow on a CPU."""

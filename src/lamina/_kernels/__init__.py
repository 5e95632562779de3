"""Formulas written by hand, because XLA's own are slow on a CPU."""

"""Trains many models at the same time: ensembles, cross-validation and sweeps."""

"""Compiles programs, shares them between models, and stores them on disk."""

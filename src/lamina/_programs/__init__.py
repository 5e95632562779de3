"""Compiled programs: made, shared between models, and kept on disk."""

"""Converts the user's data to arrays that the compiled training step takes."""

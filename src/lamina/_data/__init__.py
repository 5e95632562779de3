"""Turns the user's data into arrays that the compiled training step takes."""

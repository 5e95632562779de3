"""A weight, and how several threads read and train it."""

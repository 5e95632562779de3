"""Files: models, weights, checkpoints. No file can run code."""

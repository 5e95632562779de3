"""The texts of errors, and the frames of their tracebacks."""

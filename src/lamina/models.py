"""Where Keras keeps its models: here there is one kind, the stack."""

from lamina.sequential import Sequential

__all__ = ["Sequential"]

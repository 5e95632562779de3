"""Lets programs written for Keras or tf.keras run without a change: `python -m lamina run script.py`."""

from lamina.compat.importer import install, uninstall

__all__ = ["install", "uninstall"]

"""Arrays, their shapes, and lists, tuples and dicts of them."""

"""Settings of objects: the checks of values, the conversion to configs, and the objects for names."""

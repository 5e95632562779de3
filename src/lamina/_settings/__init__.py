"""Objects that hold settings: how a value is checked, how it stands in a config, and how a name becomes an object."""

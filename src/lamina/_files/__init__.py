"""Files and folders that are written whole, and those that other users of the machine cannot change."""

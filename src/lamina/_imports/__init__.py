"""The import of the package: the names in each module, and the files that are loaded at the first use of a name."""

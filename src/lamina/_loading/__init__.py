"""How the package is loaded: each file when one of its names is first used."""

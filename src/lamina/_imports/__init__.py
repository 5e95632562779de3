"""How the package is loaded: which names a module shows, and which file is loaded when one of them is first used."""

"""From what the user has to what the compiled step reads."""

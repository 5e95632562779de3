"""FeatureSpace: maps each row of a table with text, numbers and gaps to one vector."""

"""FeatureSpace: a table of columns with text, numbers and gaps becomes one vector for each row."""

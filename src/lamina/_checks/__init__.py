"""Checks of the data, the targets and the stack before the first step; the errors say what to change."""

"""Checks of the data, the targets and the stack before the first step: their errors say what to change."""

"""The stack's doctor: what is looked at before the first step."""

"""Writes files and folders completely or not at all, and reads private files that other users cannot change."""

"""The process: its memory, and the child processes that are forked from it."""

"""What an error says, and which frames of a traceback the user sees."""

"""What the owner is told about a request before deciding: its cost and a summary in plain words."""

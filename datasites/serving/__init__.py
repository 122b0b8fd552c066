"""The parts of a running service: taking letters, sending them, and what keeps one process a datasite."""

"""Strategies: how the next global model follows from the sites' averaged update; one algorithm a file."""

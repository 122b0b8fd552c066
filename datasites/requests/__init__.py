"""What may happen to a request before and beside its execution: one file a use case."""

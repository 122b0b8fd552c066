"""What may happen to a job before and beside its execution: one file a use case."""

"""Witnesses: other sites of a cohort keep this log's newest checkpoint, so that a disk set back is noticed."""

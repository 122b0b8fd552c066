"""Secure averaging: pairwise masks that cancel only in the sum of the whole cohort."""

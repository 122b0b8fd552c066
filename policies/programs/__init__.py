"""Tensor programs: their format and the rules a program must keep, checked without torch."""

"""Loading and interpreting tensor programs with torch: in the trainer's child, and at the researcher's export."""

"""The researcher's notebook side: look at mock data, submit a study, run its rounds, read the result."""

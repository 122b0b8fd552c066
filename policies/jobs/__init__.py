"""Jobs: what an analysis request asks of one site, what its owner decides on it, and what may leave of its outputs."""

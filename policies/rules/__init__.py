"""House rules: what an owner adopts, what they forbid, what they approve by themselves, what a set would do."""

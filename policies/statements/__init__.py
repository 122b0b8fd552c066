"""Statements: canonical JSON, domain-separated digests and signatures over them."""

"""The tamper-evident log: entries, Merkle tree, signed checkpoints, exported bundle, offline verifier."""

"""The inspection of a job's outputs: one errand in the sandbox, where all hostile and private bytes are read."""

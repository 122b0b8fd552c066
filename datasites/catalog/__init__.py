"""The catalogue: what a data set is, how its table is read, frozen and shown to researchers."""

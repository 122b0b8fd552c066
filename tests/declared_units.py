"""How many units the data sets of the tests' cohorts declare, as terms give them: those of the clinic's manifest."""

UNITS = {"training_units": 75, "holdout_units": 25}

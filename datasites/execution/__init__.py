"""What happens after an approval: the rounds of a study, with the trainer as a locked-down child."""

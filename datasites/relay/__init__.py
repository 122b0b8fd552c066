"""The relay: a mailbox server that holds sealed mail for the parties that its operator admitted."""

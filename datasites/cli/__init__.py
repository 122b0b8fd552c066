"""The owner's command line, `datasite`: one file a group of commands, over the same use cases as the service."""

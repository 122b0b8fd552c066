"""What parties say to each other: identities, sealed envelopes, typed messages and the mailbox client."""

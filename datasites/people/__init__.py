"""A site's people: who has a role, who may decide, and whose approvals wait for another's."""

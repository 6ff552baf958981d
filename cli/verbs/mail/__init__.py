"""The verbs that look into mailboxes."""

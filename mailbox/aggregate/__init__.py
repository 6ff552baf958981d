"""The Mailbox aggregate: what is in memory of one user, and the plans that change it."""

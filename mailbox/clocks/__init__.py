"""The time of mailboxes: the hybrid logical clock, and whether a machine's clock may be believed."""

"""Time as a mailbox reckons with it: the hybrid logical clock, and whether a clock may be believed."""

"""Groups: what a member's owner asks for its user, and what the owner of a group's row answers."""

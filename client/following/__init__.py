"""What changes in a mailbox, from token to token, over whatever carries it."""

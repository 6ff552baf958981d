"""What a user does with his own account: plans of his own row that change no conversation."""

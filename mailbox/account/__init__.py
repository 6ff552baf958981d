"""What a user does with his own account: plans of his own row, of which nobody else hears."""

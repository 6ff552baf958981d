"""The owner of mailboxes, composed of the rooms beside this one; and its metrics."""

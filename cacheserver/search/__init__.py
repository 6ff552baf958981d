"""The way of a search: an index of each mailbox that is searched, and what of it the mailbox confirms."""

"""The mailboxes of another process: a port over a link, and what serves one."""

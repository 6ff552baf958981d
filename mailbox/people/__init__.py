"""Who a user is, as his own row tells it. Values only; mailbox/account has the rules."""

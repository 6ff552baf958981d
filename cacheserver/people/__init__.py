"""Who users are: profiles of an owner's own users, and of others', whose owners are asked."""

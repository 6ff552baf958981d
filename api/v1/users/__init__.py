"""The calls about users: their types, how they are read, what is said of them."""

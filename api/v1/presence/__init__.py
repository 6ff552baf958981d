"""The calls about presence: their types, how they are read, what is said of them."""

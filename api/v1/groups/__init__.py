"""The calls about groups: their types, how they are read, what is said of them."""

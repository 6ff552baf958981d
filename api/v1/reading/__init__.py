"""How requests are read, whatever they ask for, and what is said of each call."""

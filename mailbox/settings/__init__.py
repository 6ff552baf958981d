"""The settings: what there is, how its text is read, and the one loader."""

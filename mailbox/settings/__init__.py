"""The settings: which there are, how their text is read, and the one loader."""

"""The output of a run, and the document that keeps it."""

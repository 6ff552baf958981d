"""What a run prints, and the document that keeps it."""

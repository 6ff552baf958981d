"""What goes by a clock that is an argument: many waits under one timer, and lines of a log that are to be rare."""

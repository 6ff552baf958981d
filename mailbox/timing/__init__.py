"""Timing by a clock that is an argument: many waits under one timer, and log lines that are to be rare."""

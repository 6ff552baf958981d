"""The rows in memory, and who waits at them: commands for the lock, clients for news."""

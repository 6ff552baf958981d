"""The rows in memory, the commands that wait for a row's lock, and the clients that wait for its news."""

"""API processes, without starting one."""

"""What is so for moments and kept nowhere for good: who is online. Without it nothing else is missed."""

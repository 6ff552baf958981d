"""The way of a write: which commands go to the store together, and what happens once the store has confirmed them."""

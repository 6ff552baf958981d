"""What people do to one another, and on which devices, while servers come and go; and what must follow from it."""

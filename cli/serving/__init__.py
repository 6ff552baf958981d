"""What `rowbox serve` is made of, beside the API."""

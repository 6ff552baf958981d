"""What `rowbox doctor` looks at on a cluster."""

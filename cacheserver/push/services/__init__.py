"""What tells devices: Web Push, and webhooks. Each service is one module; all of them call out by `guarded`."""

"""Which access tokens an owner refuses because they were revoked."""

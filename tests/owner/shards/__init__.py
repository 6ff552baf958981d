"""Shards that come and go: what an owner does with those that it is given, closes, keeps after all, or gives away."""

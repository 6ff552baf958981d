"""Push: where a device is to be told of messages while nobody is looking, and what it is told."""

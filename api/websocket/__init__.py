"""WebSocket as RFC 6455 has it: the handshake, frames in and out. What the frames say is others' business."""

"""The bytes that stand in stores, checked in: what was written once must read for ever (docs/formats.md)."""

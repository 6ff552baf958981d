"""The rules of groups: what a group's row decides, and what a member's row makes of its events. Pure."""

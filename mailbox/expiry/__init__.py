"""When messages end that the participants of a conversation do not want to keep. Pure."""

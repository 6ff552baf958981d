"""What the tutorial and the how-tos tell to do, done over real servers: the fenced blocks of the documents."""

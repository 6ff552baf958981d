"""The calls about conversations as their user has set them for himself: their types, how they are read, what is said
of them.
"""

"""The verbs of `rowbox`, each a module that is imported when it is called."""

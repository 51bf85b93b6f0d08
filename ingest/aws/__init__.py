"""How AWS is reached, shared by the sources that read from it."""

"""Points with coordinates: the pixels of an image or a signal, and those where an equation is to hold."""

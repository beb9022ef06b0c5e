"""How dates and times are written, by language, where Django writes them otherwise."""

"""Use cases on runs, one a module: check, change, journal, signal."""

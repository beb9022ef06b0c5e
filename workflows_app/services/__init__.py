"""Use cases on definitions: read and write documents, compile them, publish snapshots."""

"""Node types at work, one file each: what goes on record as a node's input, and what the node makes of it."""

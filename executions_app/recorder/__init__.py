"""Makes the engine's events durable: many runs, one thread, one transaction per batch."""

"""The engine: plain asyncio that walks a `Plan` and emits events. No Django, no database, no wall clock."""

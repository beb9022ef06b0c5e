"""What every operation of the API shares: who calls, how bodies are read and written, which version is meant."""

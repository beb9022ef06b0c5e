"""What is told to those who watch; only what is committed is told."""

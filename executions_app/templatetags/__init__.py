"""What templates take from the runs."""

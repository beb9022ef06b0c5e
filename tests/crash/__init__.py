"""Faults that strike real processes on a real database. As an app it brings the tools of the harness."""

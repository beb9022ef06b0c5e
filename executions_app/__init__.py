"""Runs: what happens when a workflow executes."""

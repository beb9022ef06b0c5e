"""Definitions: what a workflow is."""

"""What a workflow is, as plain values: no Django, no I/O, no clock."""

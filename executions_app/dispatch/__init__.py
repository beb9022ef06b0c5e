"""Who runs an accepted execution, where and when."""

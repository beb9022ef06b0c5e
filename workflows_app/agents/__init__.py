"""What answers agent nodes: the providers of the settings, a request to a model, and what goes wrong with one."""

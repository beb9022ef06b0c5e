"""The product as it is served, with a tool that no product should have."""

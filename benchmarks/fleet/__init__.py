"""Workers as processes of their own on one PostgreSQL: what they do together, what it takes, and what many would do."""

"""The definitions' part of the Django admin."""

from workflows_app.admin.audit import AuditAdmin
from workflows_app.admin.tokens import TokenAdmin

__all__ = ["AuditAdmin", "TokenAdmin"]

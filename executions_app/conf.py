"""The settings of this app: the `PASTETRADER` dict, read when needed and typed."""

from dataclasses import dataclass

from django.conf import settings

from executions_app.engine.ports import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    limits: Limits


def execution_settings() -> ExecutionSettings:
    """`CANCEL_GRACE_SECONDS`, `MAX_OUTPUT_BYTES` and `MAX_EXECUTION_BYTES`, or their defaults."""
    configured = getattr(settings, "PASTETRADER", {})
    default = Limits()
    return ExecutionSettings(
        limits=Limits(
            grace=float(configured.get("CANCEL_GRACE_SECONDS", default.grace)),
            output_bytes=int(configured.get("MAX_OUTPUT_BYTES", default.output_bytes)),
            execution_bytes=int(configured.get("MAX_EXECUTION_BYTES", default.execution_bytes)),
        )
    )

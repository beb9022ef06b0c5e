"""How long something took, as every interface shows it."""

from datetime import datetime
from decimal import Decimal


def duration_ms(started_at: datetime | None, ended_at: datetime | None) -> Decimal | None:
    """Milliseconds with three decimals; None where it has not ended or never started."""
    if started_at is None or ended_at is None:
        return None
    span = ended_at - started_at
    return Decimal(span.days * 86_400_000_000 + span.seconds * 1_000_000 + span.microseconds).scaleb(-3)

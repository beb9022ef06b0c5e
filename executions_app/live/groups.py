"""The names of groups in the channel layer. Whoever can reach the layer cannot tell from an id what to listen to."""

import hashlib
import hmac
import uuid

from django.conf import settings


def group_of(execution_id: uuid.UUID) -> str:
    """Those who follow one execution."""
    return _name(str(execution_id))


def group_of_all() -> str:
    """Those who follow which executions there are and how they stand."""
    return _name("all")


def _name(subject: str) -> str:
    digest = hmac.new(settings.SECRET_KEY.encode(), f"pastetrader.live:{subject}".encode(), hashlib.sha256)
    return f"pastetrader.{digest.hexdigest()[:40]}"

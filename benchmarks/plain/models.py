"""What the plain site keeps."""

import hashlib
import secrets
from typing import override

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models


class Token(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    secret_hash = models.CharField(max_length=64, unique=True)

    @override
    def __str__(self) -> str:
        return f"token of {self.user}"


class Item(models.Model):
    name = models.CharField(max_length=200)
    data = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    @override
    def __str__(self) -> str:
        return self.name


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prepare() -> str:
    """A user's token, in clear."""
    text = secrets.token_urlsafe(32)
    _ = Token.objects.create(user=get_user_model().objects.create_user("bench"), secret_hash=hashed(text))
    return text

"""Encryption of secrets by the key ring: the first key encrypts, all decrypt.

What is encrypted says to which row and which owner it belongs: ciphertext that was moved to another row is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.services.errors import NoCredentialKeys, SecretUnreadable

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

    from workflows_app.dag.types import JsonObject
    from workflows_app.models import Credential

# For people who need a key.
NEW_KEY = "python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"


class Sealed(NamedTuple):
    ciphertext: str
    key_id: str


def is_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text)) == 32
    except (binascii.Error, ValueError):
        return False


def present_key_id() -> str:
    """The fingerprint of the key that encrypts. Raises `NoCredentialKeys`."""
    return _key_id(_keys()[0])


def seal(credential_id: uuid.UUID, owner_id: int, value: str) -> Sealed:
    """Raises `NoCredentialKeys`; `JsonError` for text that no database takes."""
    content = jsontext.dumps({"row": str(credential_id), "owner": owner_id, "value": value})
    return Sealed(_ring(_keys()).encrypt(content.encode()).decode(), present_key_id())


def unseal(credential: Credential) -> str:
    """The value. Raises `SecretUnreadable` that says why, and `NoCredentialKeys`."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - only what uses secrets loads it

    keys = _keys()
    try:
        content = jsontext.loads(_ring(keys).decrypt(credential.ciphertext.encode()))
    except InvalidToken:
        is_known = credential.key_id in map(_key_id, keys)
        reason = "damaged" if is_known else "unknown_key"
        raise SecretUnreadable(credential.name, reason, key_id=credential.key_id) from None
    if not isinstance(content, dict) or not _is_of(credential, content):
        raise SecretUnreadable(credential.name, "moved")
    return str(content["value"])


def _is_of(credential: Credential, content: JsonObject) -> bool:
    return (content["row"], content["owner"]) == (str(credential.pk), credential.owner_id)


def _keys() -> tuple[str, ...]:
    keys = workflow_settings().credential_keys
    if not keys or not all(map(is_key, keys)):
        raise NoCredentialKeys
    return keys


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - only what uses secrets loads it

    return MultiFernet([Fernet(key) for key in keys])


def _key_id(key: str) -> str:
    # Of 256 random bits no hash tells anything.
    return hashlib.sha256(b"pastetrader.credential:" + base64.urlsafe_b64decode(key)).hexdigest()[:16]

"""
Digests of what is remembered.
"""

from _blake2 import blake2b


def digest(data: bytes) -> str:
    """
    Return the BLAKE2b-256 of *data* as ``blake2b:`` and 64 hex digits.
    """
    return f"blake2b:{blake2b(data, digest_size=32).hexdigest()}"

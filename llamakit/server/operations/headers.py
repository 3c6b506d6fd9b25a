"""Names of reply headers as llama-server writes them: some clients keep them in plain dictionaries."""

from __future__ import annotations


class AsWritten(bytes):
    """A name that keeps its capitals: uvicorn sends what `lower` gives."""

    def lower(self) -> AsWritten:
        return self


def encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Names and values as ASGI has them."""
    return [(AsWritten(name.encode("latin-1")), value.encode("latin-1")) for name, value in headers.items()]

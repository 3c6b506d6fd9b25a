"""What a file that is not GGUF probably is, from its first bytes."""

from __future__ import annotations

HEAD_BYTES = 64

# Longest and most specific first: the first prefix that fits names the file.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file it points to; run `git lfs pull`"),
    (b"FUGG", "a GGUF file whose magic is byte-swapped; write it again with the right byte order"),
    (b"lmgg", "an unversioned ggml file of 2023; convert the original model to GGUF"),
    (b"fmgg", "a ggmf file of 2023; convert the original model to GGUF"),
    (b"tjgg", "a ggjt file of 2023; convert the original model to GGUF"),
    (b"algg", "a ggla adapter of 2023; convert the original adapter to GGUF"),
    (b"\x1f\x8b", "gzip data; unpack it first"),
    (b"PK\x03\x04", "a zip archive, or a PyTorch checkpoint; unpack or convert it first"),
    (b"\x28\xb5\x2f\xfd", "zstd data; unpack it first"),
    (b"\xfd7zXZ\x00", "xz data; unpack it first"),
    (b"BZh", "bzip2 data; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file; convert the original model to GGUF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"\x80", "a Python pickle; convert the original model to GGUF"),
)


def guess(head: bytes) -> str:
    """Name the format of a file by its first bytes (`HEAD_BYTES` of them are enough)."""
    # safetensors: u64 length of a JSON object, then the object.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return "a safetensors file; convert it to GGUF"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if not any(head):
        return "zeros, perhaps an unfinished download"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, perhaps an error page saved in place of the file"
    if text.startswith((b"{", b"[")):
        return "JSON text"
    return f"not a known format, it starts with {head[:4]!r}"

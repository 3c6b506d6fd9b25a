"""Layers behind the last that foretell further tokens: names they have everywhere."""

from __future__ import annotations

from llamakit.convert.names import Names

NEXTN: Names = {
    "eh_proj": "nextn.eh_proj",
    "enorm": "nextn.enorm",
    "hnorm": "nextn.hnorm",
    "embed_tokens": "nextn.embed_tokens",
    "shared_head.head": "nextn.shared_head_head",
    "shared_head.norm": "nextn.shared_head_norm",
}

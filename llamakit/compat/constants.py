"""Numbers of llama.h and ggml.h that Python programs name."""

from __future__ import annotations

from llamakit.core.gguf.types import GGMLType
from llamakit.tools.quantize.file_types import FILE_TYPES

ENUMS = {
    "ROPE_SCALING_TYPE": {"UNSPECIFIED": -1, "NONE": 0, "LINEAR": 1, "YARN": 2, "LONGROPE": 3, "MAX_VALUE": 3},
    "POOLING_TYPE": {"UNSPECIFIED": -1, "NONE": 0, "MEAN": 1, "CLS": 2, "LAST": 3, "RANK": 4},
    "ATTENTION_TYPE": {"UNSPECIFIED": -1, "CAUSAL": 0, "NON_CAUSAL": 1},
    "FLASH_ATTN_TYPE": {"AUTO": -1, "DISABLED": 0, "ENABLED": 1},
    "LOAD_MODE": {"AUTO": -1, "NONE": 0, "MMAP": 1, "MLOCK": 2, "MMAP_MLOCK": 3, "DIRECT_IO": 4},
    "SPLIT_MODE": {"NONE": 0, "LAYER": 1, "ROW": 2, "TENSOR": 3},
    "TOKEN_ATTR": {"UNDEFINED": 0, "UNKNOWN": 1, "UNUSED": 2, "NORMAL": 4, "CONTROL": 8, "USER_DEFINED": 16, "BYTE": 32,
                   "NORMALIZED": 64, "LSTRIP": 128, "RSTRIP": 256, "SINGLE_WORD": 512},
    "TOKEN_TYPE": {"UNDEFINED": 0, "NORMAL": 1, "UNKNOWN": 2, "CONTROL": 3, "USER_DEFINED": 4, "UNUSED": 5, "BYTE": 6},
    "KV_OVERRIDE_TYPE": {"INT": 0, "FLOAT": 1, "BOOL": 2, "STR": 3},
    "VOCAB_TYPE": {"NONE": 0, "SPM": 1, "BPE": 2, "WPM": 3, "UGM": 4, "RWKV": 5, "PLAMO2": 6},
}  # fmt: skip


def constants() -> dict[str, int]:
    """By name."""
    found = {"LLAMA_DEFAULT_SEED": 0xFFFFFFFF, "LLAMA_TOKEN_NULL": -1, "LLAMA_MAX_DEVICES": 1}
    found |= {f"LLAMA_{enum}_{name}": value for enum, values in ENUMS.items() for name, value in values.items()}
    found |= {f"LLAMA_FTYPE_MOSTLY_{kind.name}": kind.number for kind in FILE_TYPES} | {"LLAMA_FTYPE_ALL_F32": 0}
    return found | {f"GGML_TYPE_{kind.name}": kind.value for kind in GGMLType}

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
    "VOCAB_TYPE": {"NONE": 0, "SPM": 1, "BPE": 2, "WPM": 3, "UGM": 4, "RWKV": 5, "PLAMO2": 6, "TEST": 7},
    "ROPE_TYPE": {"NONE": -1, "NORM": 0, "NEOX": 2, "MROPE": 8, "VISION": 24, "IMROPE": 40},
    "STATE_SEQ_FLAGS": {"NONE": 0, "SWA_ONLY": 1, "PARTIAL_ONLY": 1, "ON_DEVICE": 2},
}  # fmt: skip
NUMA_STRATEGIES = ("DISABLED", "DISTRIBUTE", "ISOLATE", "NUMACTL", "MIRROR", "COUNT")
PRE_TOKENIZERS = (
    "DEFAULT", "LLAMA3", "DEEPSEEK_LLM", "DEEPSEEK_CODER", "FALCON", "MPT", "STARCODER", "GPT2", "REFACT", "COMMAND_R",
    "STABLELM2", "QWEN2", "OLMO", "DBRX", "SMAUG", "PORO", "CHATGLM3", "CHATGLM4", "VIKING", "JAIS", "TEKKEN",
    "SMOLLM", "CODESHELL", "BLOOM", "GPT3_FINNISH", "EXAONE", "CHAMELEON", "MINERVA", "DEEPSEEK3_LLM", "GPT4O",
    "SUPERBPE", "TRILLION", "BAILINGMOE", "LLAMA4", "PIXTRAL", "SEED_CODER",
)  # fmt: skip


def constants() -> dict[str, int]:
    """By name."""
    found = {"LLAMA_DEFAULT_SEED": 0xFFFFFFFF, "LLAMA_TOKEN_NULL": -1, "LLAMA_MAX_DEVICES": 1}
    found |= {f"LLAMA_{enum}_{name}": value for enum, values in ENUMS.items() for name, value in values.items()}
    found |= {f"LLAMA_FTYPE_MOSTLY_{kind.name}": kind.number for kind in FILE_TYPES}
    found |= {"LLAMA_FTYPE_ALL_F32": 0, "LLAMA_FTYPE_GUESSED": 1024}
    found |= {f"LLAMA_VOCAB_PRE_TYPE_{name}": i for i, name in enumerate(PRE_TOKENIZERS)}
    found |= {f"GGML_NUMA_STRATEGY_{name}": i for i, name in enumerate(NUMA_STRATEGIES)}
    found |= {f"GGML_ROPE_TYPE_{name}": ENUMS["ROPE_TYPE"][name] for name in ("NEOX", "MROPE", "VISION", "IMROPE")}
    return found | {f"GGML_TYPE_{kind.name}": kind.value for kind in GGMLType}

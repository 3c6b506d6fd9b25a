"""Making a smaller file of a model."""

from __future__ import annotations

import ctypes
import os
import warnings
from typing import Any

from llamakit.core.gguf.types import GGMLType
from llamakit.errors import LlamakitError
from llamakit.tools.quantize.file_types import COPY, FileType, parse_file_type

AS_THE_FILE_TYPE_SAYS = 43  # GGML_TYPE_COUNT


class llama_model_quantize_params(ctypes.Structure):
    """Numbers of llama.h and ggml.h; nthread 0 is one for each core."""

    _fields_ = (
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int),
        ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", ctypes.c_bool),
        ("quantize_output_tensor", ctypes.c_bool),
        ("only_copy", ctypes.c_bool),
        ("pure", ctypes.c_bool),
        ("keep_split", ctypes.c_bool),
    )


def llama_model_quantize_default_params() -> llama_model_quantize_params:
    return llama_model_quantize_params(
        ftype=parse_file_type("Q8_0").number, output_tensor_type=AS_THE_FILE_TYPE_SAYS,
        token_embedding_type=AS_THE_FILE_TYPE_SAYS, quantize_output_tensor=True,
    )  # fmt: skip


def llama_model_quantize(fname_inp: bytes, fname_out: bytes, params: Any) -> int:
    """Write a file anew; 0, or 1 with a warning that says why not. params: the structure, or ctypes' byref of it."""
    from llamakit.tools.quantize.plan import Options
    from llamakit.tools.quantize.run import quantize_file

    p: llama_model_quantize_params = getattr(params, "_obj", params)
    try:
        options = Options(
            output_type=type_of(p.output_tensor_type), token_embedding_type=type_of(p.token_embedding_type),
            allow_requantize=p.allow_requantize, leave_output=not p.quantize_output_tensor, is_pure=p.pure,
            keep_split=p.keep_split,
        )  # fmt: skip
        quantize_file(os.fsdecode(fname_inp), os.fsdecode(fname_out), file_type_of(p), options, p.nthread or None)
    except LlamakitError as error:
        warnings.warn(str(error), stacklevel=2)
        return 1
    return 0


def file_type_of(params: llama_model_quantize_params) -> FileType:
    return COPY if params.only_copy else parse_file_type(str(params.ftype))


def type_of(number: int) -> GGMLType | None:
    return None if number == AS_THE_FILE_TYPE_SAYS else GGMLType(number)

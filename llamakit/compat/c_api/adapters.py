"""Functions of LoRA adapters."""

from __future__ import annotations

import os
import warnings
from typing import Any

from llamakit.compat.contexts import LlamaContext
from llamakit.compat.pointers import at, free, keep
from llamakit.core.engine.adapters import Adapter, load_adapter
from llamakit.errors import LlamakitError


def llama_adapter_lora_init(model: Any, path_lora: bytes | str) -> int | None:
    """A pointer to an adapter; None, with a warning that says why, where the file cannot be read."""
    try:
        return keep(load_adapter(os.fsdecode(path_lora)))
    except LlamakitError as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def llama_adapter_lora_free(adapter: Any) -> None:
    """Contexts that compute with it still do."""
    free(adapter)


def llama_set_adapters_lora(ctx: Any, adapters: Any, n_adapters: int, scales: Any) -> int:
    """Compute with these alone; 0, or -1 with a warning that says why, where one does not fit the model."""
    wanted = {at(adapters[i], Adapter): float(scales[i]) for i in range(n_adapters)}
    return changed(at(ctx, LlamaContext), wanted)


def llama_set_adapter_lora(ctx: Any, adapter: Any, scale: float) -> int:
    """Compute with one more, or with another scale of it; returns as `llama_set_adapters_lora`."""
    context = at(ctx, LlamaContext)
    return changed(context, {**context.adapters, at(adapter, Adapter): float(scale)})


def llama_rm_adapter_lora(ctx: Any, adapter: Any) -> int:
    """Compute without one; -1 where it was not used."""
    context, unwanted = at(ctx, LlamaContext), at(adapter, Adapter)
    if unwanted not in context.adapters:
        return -1
    return changed(context, {each: scale for each, scale in context.adapters.items() if each is not unwanted})


def llama_clear_adapter_lora(ctx: Any) -> None:
    at(ctx, LlamaContext).set_adapters({})


def changed(context: LlamaContext, adapters: dict[Adapter, float]) -> int:
    try:
        context.set_adapters(adapters)
    except LlamakitError as error:
        warnings.warn(str(error), stacklevel=3)
        return -1
    return 0

"""A model made ready to serve, in the engine's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from llamakit.core.engine import pooling
from llamakit.core.engine.adapters import load_adapter
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model, load_model
from llamakit.core.engine.pooling import Pooling
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.models.own_architectures import add_file
from llamakit.errors import UsageError
from llamakit.server.engine.host import Host, model_info
from llamakit.server.engine.messages import FromEngine
from llamakit.server.settings import ModelSettings
from llamakit.tools.completion import context_length

if TYPE_CHECKING:
    from llamakit.core.engine.speculation import Guesser


@contextmanager
def open_host(settings: ModelSettings, send: Callable[[FromEngine], None]) -> Iterator[Host]:
    """Load the model of the settings and serve it. Raises what loading does: GGUFError, ModelError, UsageError."""
    p = settings.opening
    for path in settings.arch_files:
        add_file(path)
    with ExitStack() as opened:
        model = opened.enter_context(
            load_model(settings.path, overrides={**p.overrides, **p.rope.overrides(settings.path)}, use_mmap=p.use_mmap)
        )
        n_ctx = context_length(p.n_ctx, model.n_ctx_train)
        if not model.decoder.is_causal:
            n_ctx = min(n_ctx, model.n_ctx_train)  # of the positions that it knows
        context = Context(
            model,
            n_ctx=n_ctx,
            n_batch=p.n_batch if model.decoder.is_causal else n_ctx,
            n_ubatch=p.n_ubatch if model.decoder.is_causal else n_ctx,  # such texts are computed whole
            n_threads=p.n_threads,
            n_threads_batch=p.n_threads_batch,
            type_k=p.type_k,
            type_v=p.type_v,
            n_seq_max=settings.n_slots,
            has_head=model.decoder.has_head,
        )
        opened.callback(context.close)
        steer(context, settings)
        adapters = {str(i): load_adapter(path) for i, (path, _) in enumerate(p.adapters)}
        scheduler = opened.enter_context(
            Scheduler(
                context,
                model.vocab,
                n_queue_max=settings.n_queue_max,
                n_prefill_beside=settings.n_prefill_beside,
                adapters=adapters,
                guesser=open_guesser(settings, context, opened),
            )
        )
        scheduler.set_adapter_scales({str(i): scale for i, (_, scale) in enumerate(p.adapters)})
        check_limits(settings, context.n_ctx)
        info = model_info(
            context, p.adapters, pooling_of(model, settings), settings.n_ctx_request, settings.n_input_max
        )
        host = Host(scheduler, send, info)
        opened.callback(host.close)
        yield host


def check_limits(settings: ModelSettings, n_ctx: int) -> None:
    """Raises UsageError for requests that may have more tokens than the context."""
    limits = {
        "--max-total-tokens or --kv-unified-per-slot": settings.n_ctx_request,
        "--max-input-tokens": settings.n_input_max,
    }
    for name, n in limits.items():
        if n is not None and n > n_ctx:
            raise UsageError(f"{name} {n}: the context has {n_ctx} tokens (-c)")


def open_guesser(settings: ModelSettings, context: Context, opened: ExitStack) -> Guesser | None:
    """What guesses tokens; a draft model is closed with `opened`."""
    draft = settings.draft
    if draft is None:
        return None
    from llamakit.core.engine.speculation import DraftModel, PromptLookup

    if draft.path is None:
        return PromptLookup(draft.n_most)
    model = opened.enter_context(load_model(draft.path, use_mmap=settings.opening.use_mmap))
    drafting = Context(
        model,
        n_ctx=context.n_ctx,
        n_batch=settings.opening.n_batch,
        n_ubatch=settings.opening.n_ubatch,
        n_threads=settings.opening.n_threads,
        n_threads_batch=settings.opening.n_threads_batch,
        n_seq_max=settings.n_slots,
    )
    opened.callback(drafting.close)
    return DraftModel(drafting, context, draft.n_most)


def steer(context: Context, settings: ModelSettings) -> None:
    """Apply control vectors, where there are any."""
    p = settings.opening
    if p.control_vectors:
        from llamakit.core.engine.steering import load_control_vector, sum_of

        vectors = [(load_control_vector(vector), scale) for vector, scale in p.control_vectors]
        context.set_directions(sum_of(vectors, context.model.hparams.n_embd, *p.control_layers))


def pooling_of(model: Model, settings: ModelSettings) -> str:
    """Of embeddings: what is asked for, or the file's; the mean where that has none, as one vector is wanted."""
    own = pooling.pooling_of(model)
    if settings.pooling is not None:
        return settings.pooling
    return (Pooling.MEAN if own is Pooling.NONE else own).name.lower()

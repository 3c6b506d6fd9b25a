"""A request's fields, over a model's settings, to what the engine is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.output.constraint import Constraint
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.field import FieldError
from llamakit.server.generation.fields import CompletionFields, Defaults

if TYPE_CHECKING:
    from llamakit.server.models.served import Served


def defaults_for(served: Served) -> Defaults:
    """What holds where a request says nothing."""
    return served.defaults


def generation_of(served: Served, fields: CompletionFields, tokens: Sequence[int], **others: Any) -> Generation:
    """What to generate; `others` are fields of Generation that stand in for those that follow from `fields`."""
    n_slots = served.info.n_slots
    if fields.id_slot >= n_slots:
        raise FieldError("id_slot", f"there is no slot {fields.id_slot}; the last one is {n_slots - 1}")
    n_keep = len(tokens) if fields.n_keep < 0 else fields.n_keep
    said: dict[str, Any] = {
        "sampling": fields.sampling,
        "constraint": fields.constraint,
        "n_predict": fields.n_predict,
        "stop": fields.stop,
        "t_max_predict": max(fields.t_max_predict_ms, 0) / 1e3,
        "n_indent": fields.n_indent,
        "n_keep": n_keep if served.settings.context_shift else None,
        "n_discard": fields.n_discard,
        "n_logprobs": fields.n_probs or None,
        "post_sampling_probs": fields.post_sampling_probs,
        "show_special": served.settings.show_special,
        "use_cache": fields.cache_prompt,
        "slot": None if fields.id_slot < 0 else fields.id_slot,
        "adapters": fields.lora,
        "speculate": fields.speculative.is_on,
        "n_draft_max": fields.speculative.n_max,
        "n_draft_min": fields.speculative.n_min,
    }
    said |= others
    said["constraint"] = said["constraint"] or usual_constraint(served)
    return Generation(tuple(tokens), **said)


def usual_constraint(served: Served) -> Constraint | None:
    """The grammar of answers to requests that have none."""
    rules = served.settings.rules
    return None if rules is None else Constraint(rules, None)

"""Why a prompt is not begun further on with what the cache has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamakit.core.engine.scheduler.job import Job
from llamakit.core.kernels.kv_cells import BLOCK
from llamakit.core.kv.prefix_tree import Node

if TYPE_CHECKING:
    from llamakit.core.engine.scheduler.slot import Slot


def miss_reason(slot: Slot) -> str:
    """Of a slot that has taken all it can; empty where that was all but the last token."""
    branch, job, tree = slot.branch, slot.job, slot.tree
    if branch is None or not isinstance(job, Job) or len(slot.pending) <= 1:
        return ""
    request, n = job.request, len(slot.tokens)
    if not request.use_cache:
        return "cache off"
    if request.n_prompt_logprobs is not None:
        return "prompt logprobs"
    if n == slot.n_most_shared:
        return "context shift"
    node, rest = branch.node, slot.tokens[BLOCK * branch.depth :] + slot.pending
    if tree.was_evicted(node, rest):
        return "evicted"
    way, tail, n_tail = tree.find(node, rest)
    if tree.cache.states and BLOCK * (branch.depth + len(way)) + n_tail > n:
        return "recurrent state"
    if n == 0 and has_other_root(slot):
        return "adapter differs"
    if n == 0 and not node.children:
        return "first request"
    is_new = tail is None if not isinstance(tail, Node) else n_tail == len(tail.tokens)
    return f"new from token {n}" if is_new and (tail or not node.children) else f"differs at token {n}"


def has_other_root(slot: Slot) -> bool:
    """Whether the cache has the beginning of a prompt, computed with other adapters."""
    for other, node in slot.tree.roots.items():
        if other != slot.root and isinstance(other, tuple) and other[0] == slot.root[0]:
            way, _, n = slot.tree.find(node, slot.pending)
            if way or n > 1:
                return True
    return False

"""Infill: for text between two others, prefer to end it, and tokens to their longer kin."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

from llamakit.core.kernels import sampling_sort as kernels
from llamakit.core.kernels.candidates import BLOCK
from llamakit.core.sampling.stage import Setup, Stage, current

LEAST = 0.2  # probability of a text token that may come
Floats = npt.NDArray[np.float32]


class Infill(Stage):
    """Few candidates are left after the stages that are run before it, so this one is no kernel: it only has one that
    sorts them.
    """

    def __init__(self, s: Setup) -> None:
        super().__init__("sampling_sort.descending", kernels.Sort(candidates=s.candidates))
        self.candidates, self.vocab = s.candidates, s.vocab
        self.eog_ids = frozenset(s.vocab.eog_ids if s.vocab is not None else s.eog_ids)

    def run(self) -> None:
        super().run()
        ids, logits = current(self.candidates)
        ids, logits = ids.copy(), logits.copy()
        if len(ids) == 0 or not np.isfinite(logits[0]):
            return  # all are ruled out
        p = np.exp(logits.astype(np.float64) - logits[0])
        p /= p.sum()
        is_eog = np.fromiter((token in self.eog_ids for token in ids.tolist()), bool, len(ids))
        if 3 * p[is_eog].sum() * len(ids) > p[~is_eog].sum():
            self.keep(ids[is_eog], logits[is_eog])
            return
        self.merge(ids.tolist(), p, logits)
        chosen = is_eog | (p >= LEAST)
        n_texts = int((chosen & ~is_eog).sum())
        if n_texts == 0:
            self.keep(np.array([self.end_token(ids)], np.int32), np.ones(1, np.float32))
            return
        p /= p[chosen].sum()
        chosen &= is_eog | (p >= 1 / (n_texts + 1))
        self.keep(ids[chosen], logits[chosen])

    def merge(self, ids: list[int], p: npt.NDArray[np.float64], logits: Floats) -> None:
        """Where one token's text begins another's, the likelier of the two gets the probability of both."""
        texts = [self.vocab.piece(token) for token in ids] if self.vocab is not None else []
        by_text = sorted(range(len(texts)), key=texts.__getitem__)
        in_order = [texts[place] for place in by_text]
        for place, text in enumerate(texts):
            if not text:
                continue
            first = bisect_left(in_order, text)
            end = first
            while end < len(in_order) and in_order[end].startswith(text):
                end += 1
            for other in sorted(by_text[first:end]):
                if logits[place] == -np.inf:
                    break
                if other == place or logits[other] == -np.inf:
                    continue
                winner, loser = (other, place) if p[other] > p[place] else (place, other)
                p[winner] += p[loser]
                p[loser], logits[loser] = 0, -np.inf

    def end_token(self, ids: npt.NDArray[np.int32]) -> int:
        if self.vocab is None:
            return int(ids[0])
        ends = (self.vocab.eot_id, self.vocab.eos_id, *sorted(self.eog_ids), int(ids[0]))
        return next(token for token in ends if token is not None)

    def keep(self, ids: npt.NDArray[np.int32], logits: Floats) -> None:
        """These are the candidates now."""
        c, n = self.candidates, len(ids)
        c.values["kept_ids"][:n] = ids
        c.values["logits"][:n] = logits
        c.values["logits"][n : n + BLOCK] = -np.inf
        c.data["n"], c.data["is_sorted"] = n, 0

"""Samplers that draw together draw what each draws alone."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.core.graph.executor import Executor
from llamakit.core.graph.program import Step, link
from llamakit.core.kernels.store import KernelStore
from llamakit.core.sampling.chain import Sampler
from llamakit.core.sampling.params import SamplingParams
from llamakit.core.sampling.together import KERNEL, Together
from llamakit.errors import LlamakitError

N_VOCAB = 1000
PARAMS = [
    SamplingParams(seed=1),
    SamplingParams(temperature=0.0),
    SamplingParams(seed=2, top_k=0, top_p=0.9, repeat_penalty=1.2),
    SamplingParams(seed=3, mirostat=2),
    SamplingParams(seed=4, samplers=("temperature",), logit_bias={5: 2.0}),
    SamplingParams(seed=5, xtc_probability=0.5),
]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_samplers_draw_together_what_each_draws_alone(n_threads):
    rng = np.random.default_rng(0)
    kernels = KernelStore().load([*Executor.KERNELS, KERNEL])
    executor, together = Executor(kernels, n_threads), Together()
    program = link([Step(KERNEL, together.record)], kernels)
    alone, all_of_them = ([Sampler(params, N_VOCAB) for params in PARAMS] for _ in range(2))
    plain = [i for i, sampler in enumerate(all_of_them) if sampler.is_plain]
    assert len(plain) >= 4
    try:
        for _ in range(20):
            logits = (rng.standard_normal((len(PARAMS), N_VOCAB)) * 3).astype(np.float32)
            chosen = [all_of_them[i] for i in plain]
            together.draw(chosen, logits[plain], lambda: executor.run(program))
            for i in plain:
                token = all_of_them[i].take(logits[i])
                assert token == alone[i].sample(logits[i])
                alone[i].accept(token)
                all_of_them[i].accept(token)
        logits[plain[1], 7] = np.nan
        together.draw([all_of_them[i] for i in plain], logits[plain], lambda: executor.run(program))
        with pytest.raises(LlamakitError, match="non-finite"):
            all_of_them[plain[1]].take(logits[plain[1]])
        assert all_of_them[plain[2]].take(logits[plain[2]]) == alone[plain[2]].sample(logits[plain[2]])
    finally:
        executor.close()

"""The last stages: they choose a token."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llamakit.core.kernels import sampling as kernels
from llamakit.core.kernels import sampling_adaptive as adaptive
from llamakit.core.kernels import sampling_entropy as entropy
from llamakit.core.sampling.generator import Generator
from llamakit.core.sampling.stage import RandomStage, Setup, Stage
from llamakit.core.simd.records import Record

LONGEST_DECAY = 0.99


def greedy(s: Setup) -> Stage:
    return Stage("sampling.greedy", kernels.Choose(candidates=s.candidates))


def likeliest(s: Setup) -> Stage:
    return Stage("sampling.likeliest", kernels.Choose(candidates=s.candidates))


def draw(s: Setup) -> Stage:
    generator = Generator(s.seed, n_words=2)
    return RandomStage("sampling.draw", kernels.Draw(candidates=s.candidates, noise=generator.noise), generator)


class LearningStage(RandomStage):
    """A stage that learns: some float32 fields of its record begin with given values, and go on with learned ones."""

    def __init__(self, kernel: str, record: Record, generator: Generator, start: Mapping[str, float]) -> None:
        super().__init__(kernel, record, generator)
        self.start = start
        self.learn(start)

    def learn(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.record.data[name] = value

    def reset(self) -> None:
        super().reset()
        self.learn(self.start)

    def save(self) -> bytes:
        return np.array([self.record.data[name] for name in self.start], "<f4").tobytes() + super().save()

    def load(self, data: bytes) -> None:
        learned = np.frombuffer(data, "<f4", len(self.start))
        super().load(data[learned.nbytes :])
        self.learn(dict(zip(self.start, learned.tolist(), strict=True)))


def mirostat(s: Setup) -> Stage:
    """Mirostat 1 or 2: it learns from what it draws."""
    generator, p = Generator(s.seed, n_words=2), s.params
    kernel, kind = MIROSTATS[p.mirostat]
    record = kind(candidates=s.candidates, noise=generator.noise, tau=p.mirostat_tau, eta=p.mirostat_eta, mu=0.0)
    return LearningStage(kernel, record, generator, {"mu": 2 * p.mirostat_tau})


MIROSTATS: Mapping[int, tuple[str, type[Record]]] = {
    1: ("sampling_entropy.mirostat", entropy.Mirostat),
    2: ("sampling_entropy.mirostat_2", entropy.Mirostat2),
}


class AdaptiveP(LearningStage):
    """Adaptive-p: it learns how probable the accepted tokens were, the later ones counting more."""

    def __init__(self, s: Setup) -> None:
        generator = Generator(s.seed, n_words=2)
        target = np.float32(max(s.params.adaptive_target, -1.0))  # below 0: off
        self.decay = np.float32(min(max(s.params.adaptive_decay, 0.0), LONGEST_DECAY))
        total = np.float32(1) / (np.float32(1) - self.decay)
        record = adaptive.AdaptiveP(
            candidates=s.candidates, noise=generator.noise, target=target, weighted=0.0, total=0.0, p=0.0
        )
        start = {"weighted": float(target / (np.float32(1) - self.decay)), "total": float(total)}
        super().__init__("sampling_adaptive.adaptive_p", record, generator, start)
        self.candidates, self.pending = s.candidates, -1

    def run(self) -> None:
        super().run()
        self.pending = int(self.candidates.data["chosen"])

    def accept(self, token: int) -> None:
        data = self.record.data
        if token == self.pending and data["target"] >= 0:
            data["weighted"] = data["p"] + self.decay * data["weighted"]
            data["total"] = np.float32(1) + self.decay * data["total"]
        self.pending = -1

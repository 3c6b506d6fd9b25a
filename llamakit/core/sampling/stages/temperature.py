"""Temperature, fixed or moving with the entropy."""

from __future__ import annotations

from llamakit.core.kernels import sampling as kernels
from llamakit.core.kernels import sampling_entropy as entropy
from llamakit.core.sampling.params import LARGEST
from llamakit.core.sampling.stage import Setup, Stage

SMALLEST = 1.2e-38  # about the least float32 with full precision: no temperature is 0, 0 / t stays a number


def temperature(s: Setup) -> Stage | None:
    p = s.params
    if p.dynatemp_range > 0 and not p.mirostat:
        return dynamic(s)
    value = max(p.temperature, SMALLEST)
    return (
        Stage("sampling.temperature", kernels.Temperature(candidates=s.candidates, value=value)) if value != 1 else None
    )


def dynamic(s: Setup) -> Stage:
    p = s.params
    record = entropy.DynamicTemperature(
        candidates=s.candidates, lowest=max(0.0, p.temperature - p.dynatemp_range),
        highest=min(p.temperature + p.dynatemp_range, LARGEST), exponent=p.dynatemp_exponent, smallest=SMALLEST,
    )  # fmt: skip
    return Stage("sampling_entropy.dynamic_temperature", record)

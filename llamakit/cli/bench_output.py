"""Results as llama-bench prints them (md, csv, json, jsonl, sql), each with a column of ours at the end."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from llamakit import __version__
from llamakit.tools.bench import Grid, Result, spread

VARIED = (
    ("n_batch", "n_batch", 7), ("n_ubatch", "n_ubatch", 8), ("type_k", "type_k", 6), ("type_v", "type_v", 6),
    ("embeddings", "embd", 4),
)  # fmt: skip
BOOLEANS = frozenset({"cpu_strict", "no_kv_offload", "embeddings", "no_host", "repack"})


def fields(result: Result) -> dict[str, Any]:
    """llama-bench's 42 fields in its order, those without a meaning here at its defaults; then `percent_of_limit`."""
    setup, test = result.setup, result.test
    return {
        "build_commit": f"llamakit-{__version__}",
        "build_number": 0,
        "cpu_info": cpu_info(),
        "gpu_info": "",
        "backends": "CPU",
        "model_filename": setup.model,
        "model_type": result.model_type,
        "model_size": result.model_size,
        "model_n_params": result.model_n_params,
        "n_batch": setup.n_batch,
        "n_ubatch": setup.n_ubatch,
        "n_threads": result.n_threads,
        "cpu_mask": "0x0",
        "cpu_strict": False,
        "poll": 0,
        "type_k": setup.type_k,
        "type_v": setup.type_v,
        "n_gpu_layers": 0,
        "n_cpu_moe": 0,
        "split_mode": "layer",
        "main_gpu": 0,
        "no_kv_offload": False,
        "flash_attn": 1,
        "devices": "none",
        "tensor_split": "0.00",
        "tensor_buft_overrides": "none",
        "load_mode": "mmap",
        "lazy_mode": "auto",
        "embeddings": setup.embeddings,
        "no_op_offload": 0,
        "no_host": False,
        "repack": True,
        "fit_target": 0,
        "fit_min_ctx": 0,
        "n_prompt": test.n_prompt,
        "n_gen": test.n_gen,
        "n_depth": test.n_depth,
        "test_time": result.test_time,
        "avg_ns": round(fmean(result.samples_ns)),
        "stddev_ns": round(spread(result.samples_ns)),
        "avg_ts": round(fmean(result.samples_ts), 6),
        "stddev_ts": round(spread(result.samples_ts), 6),
        "percent_of_limit": round(result.percent_of_limit, 2),
    }


def cpu_info() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def markdown(results: Iterable[Result], grid: Grid) -> Iterator[str]:
    """A table whose columns are those that vary or differ from their defaults."""
    columns: list[tuple[str, int]] = [("model", -30), ("size", 10), ("params", 10), ("backend", -10), ("threads", 7)]
    defaults = Grid(models=())
    for field, name, width in VARIED:
        if list(getattr(grid, field)) != list(getattr(defaults, field)):
            columns.append((name, width))
    columns += [("test", 15), ("t/s", 20), ("% of limit", 10)]
    for i, result in enumerate(results):
        if i == 0:  # not sooner: a model that cannot be opened has no table
            yield "| " + " | ".join(pad(name, width) for name, width in columns) + " |"
            yield "| " + " | ".join(dashes(width) for _, width in columns) + " |"
        cells = {
            "model": result.model_type,
            "size": size_text(result.model_size),
            "params": params_text(result.model_n_params),
            "backend": "CPU",
            "threads": str(result.n_threads),
            "n_batch": str(result.setup.n_batch),
            "n_ubatch": str(result.setup.n_ubatch),
            "type_k": result.setup.type_k,
            "type_v": result.setup.type_v,
            "embd": str(int(result.setup.embeddings)),
            "test": result.test.name,
            "t/s": f"{fmean(result.samples_ts):.2f} ± {spread(result.samples_ts):.2f}",
            "% of limit": f"{result.percent_of_limit:.1f}",
        }
        yield "| " + " | ".join(pad(cells[name], width) for name, width in columns) + " |"
    yield f"\nbuild: llamakit-{__version__} (0)"


def pad(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def dashes(width: int) -> str:
    return "-" * -width if width < 0 else "-" * (width - 1) + ":"


def size_text(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.2f} MiB" if n_bytes < 2**30 else f"{n_bytes / 2**30:.2f} GiB"


def params_text(n_params: int) -> str:
    return f"{n_params / 1e6:.2f} M" if n_params < 1e9 else f"{n_params / 1e9:.2f} B"


def as_csv(results: Iterable[Result], grid: Grid) -> Iterator[str]:
    for i, result in enumerate(results):
        record = fields(result)
        if i == 0:
            yield ",".join(record)
        line = io.StringIO()
        csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow(plain(v) for v in record.values())
        yield line.getvalue()


def plain(value: Any) -> str:
    """A value as csv and sql hold it: truth values as 0 and 1, decimals with six digits."""
    if isinstance(value, float):
        return f"{value:.6f}"
    return str(int(value)) if isinstance(value, bool) else str(value)


def with_samples(result: Result) -> dict[str, Any]:
    return {
        **fields(result),
        "samples_ns": list(result.samples_ns),
        "samples_ts": [float(f"{ts:.6g}") for ts in result.samples_ts],
    }


def as_json(results: Iterable[Result], grid: Grid) -> Iterator[str]:
    before = "["
    for result in results:
        lines = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in with_samples(result).items()]
        yield before + ("\n" if before == "[" else "") + "  {\n" + ",\n".join(lines) + "\n  }"
        before = ",\n"
    yield "]" if before != "[" else "[]"


def as_jsonl(results: Iterable[Result], grid: Grid) -> Iterator[str]:
    for result in results:
        yield json.dumps(with_samples(result))


def as_sql(results: Iterable[Result], grid: Grid) -> Iterator[str]:
    for i, result in enumerate(results):
        record = fields(result)
        if i == 0:
            columns = ",\n".join(f"  {name} {sql_type(value)}" for name, value in record.items())
            yield f"CREATE TABLE IF NOT EXISTS llama_bench (\n{columns}\n);\n"
        values = ", ".join("'" + plain(value).replace("'", "''") + "'" for value in record.values())
        yield f"INSERT INTO llama_bench ({', '.join(record)}) VALUES ({values});"


def sql_type(value: Any) -> str:
    return {str: "TEXT", float: "REAL"}.get(type(value), "INTEGER")


FORMATS = {"md": markdown, "csv": as_csv, "json": as_json, "jsonl": as_jsonl, "sql": as_sql}

"""Options of llama.cpp's tools that change nothing here: old command lines keep working."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Takes(Enum):
    NOTHING = 0
    VALUE = 1
    WORD = 2  # on, off, auto, 0 or 1, which may be left out


@dataclass(frozen=True, slots=True)
class NoEffect:
    takes: Takes
    warns: bool  # False: a processor without an accelerator gives the same result anyway


def _table() -> dict[str, NoEffect]:
    same_on_a_cpu = {
        Takes.NOTHING: """-kvo --kv-offload -nr --no-repack -cmoe --cpu-moe --op-offload --perf --no-perf
            --simple-io -no-cnv --no-conversation --warmup --no-warmup --log-prefix --no-log-prefix --log-timestamps
            --no-log-timestamps --swa-full -cb --cont-batching -nocb --no-cont-batching --offline
            --all-logits --log-enable --log-new --log-append --no-mmproj --no-mmproj-auto --mmproj-auto
            --mmproj-offload --no-mmproj-offload --cache-idle-slots --no-cache-idle-slots --no-ui-mcp-proxy
            --no-webui-mcp-proxy --no-agent -no-ag --no-spec-draft-backend-sampling""",
        Takes.VALUE: """-ngl --gpu-layers --n-gpu-layers -sm --split-mode -ts --tensor-split -mg --main-gpu
            -dev --device -ot --override-tensor -ncmoe --n-cpu-moe -ncffn --n-cpu-ffn -dt --defrag-thold
            -fitt --fit-target -fitc --fit-ctx --poll --poll-batch -lv --verbosity --log-verbosity --log-colors
            -lm --load-mode -np --parallel -ns --sequences --log-format --threads-http -sps
            --slot-prompt-similarity -ngld --gpu-layers-draft --n-gpu-layers-draft --spec-draft-ngl -devd --device-draft
            --spec-draft-device -td --threads-draft --spec-draft-threads -tbd --threads-batch-draft -ctkd
            --cache-type-k-draft --spec-draft-type-k -ctvd --cache-type-v-draft --spec-draft-type-v -cd
            --ctx-size-draft -ps --p-split --spec-draft-p-split -ctxcp --ctx-checkpoints --swa-checkpoints -cms
            --checkpoint-min-step -cram --cache-ram --ui-config --webui-config --ui-config-file
            --webui-config-file --image-min-tokens --image-max-tokens""",
        # bare switches of most tools, lists of 0 and 1 in llama-bench
        Takes.WORD: """-fa --flash-attn -fit --fit -nkvo --no-kv-offload --repack --no-host -nopo --no-op-offload
            -mmp -dio --direct-io -bs --backend-sampling""",
    }
    not_done_here = {
        Takes.NOTHING: """--mlock --check-tensors -dkvc --dump-kv-cache --log-test --log-jsonl --no-log-jsonl
            --memory-f32 --verbose-prompt --ui-mcp-proxy --webui-mcp-proxy --agent -ag""",
        Takes.VALUE: """-C --cpu-mask -Cr --cpu-range --cpu-strict --prio -Cb --cpu-mask-batch -Crb --cpu-range-batch
            --cpu-strict-batch --prio-batch --numa -lzm --lazy-mode --log-file --rpc -ld --logdir
            --cfg-scale --cfg-negative-prompt --cfg-negative-prompt-file --cache-reuse
            --embd-normalize -gan --grp-attn-n -gaw --grp-attn-w -lcs --lookup-cache-static -lcd
            --lookup-cache-dynamic -mm --mmproj -mmu --mmproj-url --media-path --tools --models-preset
            --log-prompts-dir -hfd --spec-draft-hf -hfrd --hf-repo-draft
            --spec-synth-len --spec-synth-rates""",
    }
    return {
        name: NoEffect(takes, warns)
        for group, warns in ((same_on_a_cpu, False), (not_done_here, True))
        for takes, names in group.items()
        for name in names.split()
    }


NO_EFFECT = _table()

# Options of FILE:SCALE that were FILE SCALE in 2024, and one of START END; a number that follows belongs to them.
SECOND_WORD = frozenset({"--lora-scaled", "--control-vector-scaled", "--control-vector-layer-range"})

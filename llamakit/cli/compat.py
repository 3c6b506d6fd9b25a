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
            --no-webui-mcp-proxy --no-agent -no-ag --spec-draft-backend-sampling --no-spec-draft-backend-sampling
            -cmoed --cpu-moe-draft --spec-draft-cpu-moe""",
        Takes.VALUE: """-ngl --gpu-layers --n-gpu-layers -sm --split-mode -ts --tensor-split -mg --main-gpu
            -dev --device -ot --override-tensor -ncmoe --n-cpu-moe -ncffn --n-cpu-ffn -dt --defrag-thold
            -fitt --fit-target -fitc --fit-ctx --poll --poll-batch -lv --verbosity --log-verbosity --log-colors
            -lm --load-mode -np --parallel -ns --sequences --log-format --threads-http -sps
            --slot-prompt-similarity -ngld --gpu-layers-draft --n-gpu-layers-draft --spec-draft-ngl -devd --device-draft
            --spec-draft-device -td --threads-draft --spec-draft-threads -tbd --threads-batch-draft -ctkd
            --cache-type-k-draft --spec-draft-type-k -ctvd --cache-type-v-draft --spec-draft-type-v -cd
            --ctx-size-draft -ps --p-split --spec-draft-p-split -ctxcp --ctx-checkpoints --swa-checkpoints -cms
            --checkpoint-min-step -cram --cache-ram --ui-config --webui-config --ui-config-file
            --webui-config-file --image-min-tokens --image-max-tokens -mmdev --mmproj-device --mtmd-batch-max-tokens
            --video-fps --video-timestamp-interval --video-ffmpeg-dir --spec-draft-threads-batch -ncmoed
            --n-cpu-moe-draft --spec-draft-ncmoe --spec-draft-n-cpu-moe -otd --override-tensor-draft
            --spec-draft-override-tensor --poll-draft --spec-draft-poll --poll-batch-draft --spec-draft-poll-batch
            --draft-p-split --spec-ngram-size-n --spec-ngram-size-m --spec-ngram-min-hits --spec-ngram-mod-n-min
            --spec-ngram-mod-n-max --spec-ngram-mod-n-match --spec-ngram-simple-size-n --spec-ngram-simple-size-m
            --spec-ngram-simple-min-hits --spec-ngram-map-k-size-n --spec-ngram-map-k-size-m
            --spec-ngram-map-k-min-hits --spec-ngram-map-k4v-size-n --spec-ngram-map-k4v-size-m
            --spec-ngram-map-k4v-min-hits""",
        # bare switches of most tools, lists of 0 and 1 in llama-bench
        Takes.WORD: """-fa --flash-attn -fit --fit -nkvo --no-kv-offload --repack --no-host -nopo --no-op-offload
            -mmp -dio --direct-io -bs --backend-sampling""",
    }
    not_done_here = {
        Takes.NOTHING: """--mlock --check-tensors -dkvc --dump-kv-cache --log-test --log-jsonl --no-log-jsonl
            --memory-f32 --verbose-prompt --ui-mcp-proxy --webui-mcp-proxy --agent -ag""",
        Takes.VALUE: """-C --cpu-mask -Cr --cpu-range --cpu-strict --prio -Cb --cpu-mask-batch -Crb --cpu-range-batch
            --cpu-strict-batch --prio-batch --numa -lzm --lazy-mode --log-file --rpc -ld --logdir
            -ptc --print-token-count --cfg-scale --cfg-negative-prompt --cfg-negative-prompt-file --cache-reuse
            --embd-normalize -gan --grp-attn-n -gaw --grp-attn-w -lcs --lookup-cache-static -lcd
            --lookup-cache-dynamic -mm --mmproj -mmu --mmproj-url --media-path --tools --tools-runtime
            --mcp-servers-config --mcp-servers-json --log-prompts-dir --spec-synth-len --spec-synth-rates
            -Cd --cpu-mask-draft --spec-draft-cpu-mask -Crd --cpu-range-draft --spec-draft-cpu-range
            --cpu-strict-draft --spec-draft-cpu-strict --prio-draft --spec-draft-prio -Cbd --cpu-mask-batch-draft
            --spec-draft-cpu-mask-batch --cpu-strict-batch-draft --spec-draft-cpu-strict-batch --prio-batch-draft
            --spec-draft-prio-batch""",
    }
    return {
        name: NoEffect(takes, warns)
        for group, warns in ((same_on_a_cpu, False), (not_done_here, True))
        for takes, names in group.items()
        for name in names.split()
    }


NO_EFFECT = _table()

# Options of sampling and of generated text, which llama.cpp's tools that only measure take too.
OF_GENERATION = {
    name: NoEffect(takes, warns=True)
    for takes, names in {
        Takes.NOTHING: """--penalize-nl --no-penalize-nl --ignore-eos -kvu --kv-unified -no-kvu --no-kv-unified
            --context-shift --no-context-shift -sp --special --display-prompt --no-display-prompt""",
        Takes.VALUE: """--samplers --sampler-seq --sampling-seq -s --seed --temp --temperature --dynatemp-range
            --dynatemp-exp --top-k --top-p --min-p --typical --typical-p --tfs --top-nsigma --top-n-sigma
            --xtc-probability --xtc-threshold --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty
            --dry-multiplier --dry-base --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --mirostat
            --mirostat-lr --mirostat-ent --adaptive-target --adaptive-decay -l --logit-bias --grammar --grammar-file
            -j --json-schema -jf --json-schema-file --regex -n --predict --n-predict --keep -r --reverse-prompt""",
    }.items()
    for name in names.split()
}

# Variables of options that are not done here, after `LLAMA_ARG_`.
WITHOUT_EFFECT = """RPC LAZY_MODE NUMA MLOCK MMPROJ MMPROJ_URL TOOLS TOOLS_RUNTIME MCP_SERVERS_CONFIG MCP_SERVERS_JSON
    UI_MCP_PROXY AGENT CACHE_REUSE DOCKER_REPO SPEC_SYNTH_LEN SPEC_SYNTH_RATES""".split()

# Variables with the names that they had before, both without `LLAMA_ARG_`.
OLD_VARIABLES = {
    "SPEC_DRAFT_MODEL": "MODEL_DRAFT",
    "SPEC_DRAFT_N_MAX": "DRAFT_MAX",
    "SPEC_DRAFT_N_MIN": "DRAFT_MIN",
    "SPEC_DRAFT_P_MIN": "DRAFT_P_MIN",
    "UI": "WEBUI",
}

# Options of FILE:SCALE that were FILE SCALE in 2024, and one of START END; a number that follows belongs to them.
SECOND_WORD = frozenset({"--lora-scaled", "--control-vector-scaled", "--control-vector-layer-range"})

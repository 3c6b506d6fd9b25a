"""Options of llama.cpp's that stand for others, that ask for a line of text alone, or whose work is done otherwise."""

from __future__ import annotations

from llamakit import __version__

QWEN = "--port 8012 -ub 1024 -b 1024 -c 0"
GPT_OSS = "--port 8013 -ub 2048 -b 32768 -np 2 -c 262144 --temp 1 --top-p 1 --top-k 0 --min-p 0.01 --jinja"
QWEN_DRAFT = "-hfd ggml-org/Qwen2.5-Coder-0.5B-Q8_0-GGUF/qwen2.5-coder-0.5b-q8_0.gguf"

# Where a command has all of these options.
STANDS_FOR = {
    name: words.split()
    for name, words in {
        "--slots-endpoint-disable": "--no-slots",
        "--embd-gemma-default": f"""-hf ggml-org/embeddinggemma-300M-qat-q4_0-GGUF
            -hff embeddinggemma-300M-qat-Q4_0.gguf --port 8011 -ub 2048 -b 2048 -np 32 -c {2048 * 32} --embeddings""",
        "--fim-qwen-1.5b-default": f"""-hf ggml-org/Qwen2.5-Coder-1.5B-Q8_0-GGUF -hff qwen2.5-coder-1.5b-q8_0.gguf
            {QWEN}""",
        "--fim-qwen-3b-default": f"""-hf ggml-org/Qwen2.5-Coder-3B-Q8_0-GGUF -hff qwen2.5-coder-3b-q8_0.gguf
            {QWEN}""",
        "--fim-qwen-7b-default": f"""-hf ggml-org/Qwen2.5-Coder-7B-Q8_0-GGUF -hff qwen2.5-coder-7b-q8_0.gguf
            {QWEN}""",
        "--fim-qwen-7b-spec": f"""-hf ggml-org/Qwen2.5-Coder-7B-Q8_0-GGUF -hff qwen2.5-coder-7b-q8_0.gguf {QWEN_DRAFT}
            {QWEN}""",
        "--fim-qwen-14b-spec": f"""-hf ggml-org/Qwen2.5-Coder-14B-Q8_0-GGUF -hff qwen2.5-coder-14b-q8_0.gguf
            {QWEN_DRAFT} {QWEN}""",
        "--fim-qwen-30b-default": f"""-hf ggml-org/Qwen3-Coder-30B-A3B-Instruct-Q8_0-GGUF
            -hff qwen3-coder-30b-a3b-instruct-q8_0.gguf {QWEN}""",
        "--gpt-oss-20b-default": f"-hf ggml-org/gpt-oss-20b-GGUF -hff gpt-oss-20b-mxfp4.gguf {GPT_OSS}",
        "--gpt-oss-120b-default": f"-hf ggml-org/gpt-oss-120b-GGUF {GPT_OSS}",
    }.items()
}

ANSWERS = {
    "--version": f"llamakit {__version__}",
    "--list-devices": "Available devices:\n  (none)",  # besides the processor, as llama.cpp's tools say it
}

DOCKER = "models of Docker Hub are not fetched; those of Hugging Face are: -hf ORG/REPO[:QUANT]"
SYSTEM = "a system prompt is the first message of each chat, role system; `llamakit chat` and `run` take -sysf"
VISION = "models here read text alone; for that, name it: -hf ggml-org/gemma-3-{}-it-qat-GGUF"
REFUSED = {
    "-dr": DOCKER,
    "--docker-repo": DOCKER,
    "-spf": SYSTEM,
    "--system-prompt-file": SYSTEM,
    "--vision-gemma-4b-default": VISION.format("4b"),
    "--vision-gemma-12b-default": VISION.format("12b"),
    "--completion-bash": "there is no such script; `llamakit COMMAND --help` lists a command's options",
}

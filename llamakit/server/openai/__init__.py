"""OpenAI's API, with what llama-server adds to it."""

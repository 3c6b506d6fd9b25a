"""Talking with a model: what `llamakit chat` does, without the terminal."""

"""`import llamakit.compat` before anything else, and programs that `import llama_cpp` run on llamakit.

Put there are the modules `llama_cpp` and those of its names that programs use: see `modules.py`. A real llama_cpp that
was imported before stays as it is.
"""

from __future__ import annotations

from llamakit.compat.modules import install

install()

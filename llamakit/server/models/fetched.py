"""Models by their names on a hub, fetched when they are loaded."""

from __future__ import annotations

import os
from dataclasses import replace

from llamakit.server.settings import ModelSettings


def fetched(settings: ModelSettings, offline: bool = False, token: str | None = None) -> ModelSettings:
    """With paths in place of names such as hf:ORG/REPO. Takes its time. Raises what fetching does.

    `offline`: what is here must do; `token` is shown to the hub, without it HF_TOKEN's.
    """
    draft = settings.draft
    if draft is not None and draft.path is not None:
        draft = replace(draft, path=path_of(draft.path, offline, token))
    return replace(settings, path=path_of(settings.path, offline, token), draft=draft)


def path_of(name: str, offline: bool, token: str | None) -> str:
    """A file that is there goes first."""
    if ":" not in name or os.path.exists(name):
        return name
    from llamakit.tools.pull import resolve

    return str(resolve(name, None, offline or None, token=token))

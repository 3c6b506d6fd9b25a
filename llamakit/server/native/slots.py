"""/slots: the sequences of the context, what they do, and their cells in files."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from llamakit.errors import LlamakitError
from llamakit.server.engine.errors import EngineLoading, EngineLost
from llamakit.server.errors import Refused
from llamakit.server.generation.field import FieldError, Text
from llamakit.server.models.served import Served, served_for
from llamakit.server.native.settings import TEXTS, fields_of, generation_settings
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import json_object
from llamakit.server.settings import ServerSettings

FILENAME = Text("filename", "Name of a file in the folder of --slot-save-path.")
LONGEST = 255  # bytes of a name
# control characters, what Windows reserves, what looks like a path's parts, halves of characters
WRONG = re.compile('[\x00-\x1f\x7f-\x9f/\\\\:*?"<>|\uff0e\u2215\u2216\ufffd\ufeff\ud800-\udfff]')


async def get_slots(request: Request) -> Response:
    settings: ServerSettings = request.app.state.settings
    if not settings.has_slots:
        raise Refused(501, "This server does not support slots endpoint. Start it with `--slots`")
    served = await served_for(request, request.query_params.get("model"))
    slots = [with_params(served, slot) for slot in await served.engine.slots()]
    if request.query_params.get("fail_on_no_slot") and all(slot["is_processing"] for slot in slots):
        raise Refused(503, "no slot available")
    return JSONResponse(slots)


def with_params(served: Served, slot: dict[str, Any]) -> dict[str, Any]:
    """What holds for the request that a slot serves; its texts are left out."""
    stream = served.engine.streams.get(slot.pop("tag"))
    if stream is None or not slot["is_processing"]:
        return slot
    settings = generation_settings(stream.fields or fields_of(stream.generation), served.vocab.eog_ids)
    return {**slot, "params": {name: value for name, value in settings.items() if name not in TEXTS}}


async def post_slots(request: Request) -> Response:
    body = await json_object(request) if await request.body() else {}
    served = await served_for(request, MODEL.read(body) or request.query_params.get("model"))
    folder = served.settings.slot_save_path
    if folder is None:
        raise Refused(501, "This server does not support slots action. Start it with `--slot-save-path`")
    slot = read_slot(request.path_params["slot"], served.info.n_slots)
    action = request.query_params.get("action")
    if action == "erase":
        return JSONResponse({"id_slot": slot, "n_erased": await served.engine.erase_slot(slot)})
    if action not in ("save", "restore"):
        raise Refused(400, "Invalid action", "action")
    name = FILENAME.read(body)
    if name is None:
        raise FieldError(FILENAME.name, '"filename" is required')
    tenant = getattr(request.state, "tenant", "")
    path = file_in(folder, name, is_there=action == "restore", owner=tenant)
    return JSONResponse(await (save if action == "save" else restore)(served, slot, name, path))


async def save(served: Served, slot: int, name: str, path: str) -> dict[str, Any]:
    begun = time.perf_counter()
    n_tokens, n_bytes = await served.engine.save_slot(slot, path)
    told = {"id_slot": slot, "filename": name, "n_saved": n_tokens, "n_written": n_bytes}
    return {**told, "timings": {"save_ms": (time.perf_counter() - begun) * 1e3}}


async def restore(served: Served, slot: int, name: str, path: str) -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        n_tokens, n_bytes = await served.engine.restore_slot(slot, path)
    except (EngineLost, EngineLoading):
        raise
    except LlamakitError as error:
        raise Refused(400, f"Unable to restore slot: {str(error).replace(path, name)}", FILENAME.name) from None
    told = {"id_slot": slot, "filename": name, "n_restored": n_tokens, "n_read": n_bytes}
    return {**told, "timings": {"restore_ms": (time.perf_counter() - begun) * 1e3}}


def read_slot(text: str, n_slots: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) >= n_slots:
        raise Refused(400, "Invalid slot ID", "id_slot")
    return int(text)


def file_in(folder: str, name: str, is_there: bool, owner: str = "") -> str:
    """The path of a file of this name; those of different API keys are different files.

    Raises FieldError for a name that could lead out of the folder.
    """
    bad = not name or len(name.encode("utf-8", "replace")) > LONGEST or WRONG.search(name) is not None
    if bad or ".." in name or name[0] in " " or name[-1] in " ." or name == ".":
        raise FieldError(FILENAME.name, "Invalid filename")
    path = Path(folder, f"{owner}-{name}" if owner else name)
    if path.is_symlink() or path.resolve().parent != Path(folder).resolve():
        raise FieldError(FILENAME.name, "Invalid filename: links are not followed")
    if is_there and not path.is_file():
        raise FieldError(FILENAME.name, f"Unable to restore slot: there is no file {name!r}")
    return str(path)

"""Answers that have to fit a JSON Schema: what is wrong with one, and where in it the JSON is."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import orjson

from helixnet.processors.base import OverLimit, Reject

LARGEST_SCHEMA = 256 * 1024
CHECK_SECONDS = 15
PROGRAM = Path(__file__).with_name("checking.py")


def parse_schema(content: bytes) -> dict[str, Any]:
    """The schema in a file. Raises Reject when it is not a JSON object."""
    try:
        schema = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Reject(f"The schema is not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise Reject("The schema must be a JSON object.")
    return schema


async def check_schema(schema: dict[str, Any]) -> None:
    """Raise Reject unless it is a JSON Schema that stands by itself."""
    await _checked(schema, None)


async def violations(schema: dict[str, Any], answer: str) -> list[str]:
    """What is wrong with an answer, a sentence each; nothing if it fits. Raises OverLimit when that can't be told."""
    return await _checked(schema, answer)


async def the_data(schema: dict[str, Any], text: str) -> tuple[Any, list[str]]:
    """The data in an answer, and what is wrong with it. Raises OverLimit as `violations`."""
    document = the_json(text)
    if wrong := await violations(schema, document):
        return None, wrong
    try:
        return orjson.loads(document), []
    except orjson.JSONDecodeError as error:
        # What Python's reader lets through: half a surrogate pair, say.
        return None, [f"It is not JSON: {error}."]


def the_json(text: str) -> str:
    """The JSON document of an answer, without the fence and the words that models like to put around one."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.partition("\n")[2].rpartition("```")[0].strip()
    if bare[:1] in ("{", "["):
        return bare
    starts = [at for at in (bare.find("{"), bare.find("[")) if at >= 0]
    end = max(bare.rfind("}"), bare.rfind("]"))
    return bare[min(starts) : end + 1] if starts and end > min(starts) else bare


async def _checked(schema: dict[str, Any], answer: str | None) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            written, _ = await process.communicate(orjson.dumps({"schema": schema, "answer": answer}))
        told = orjson.loads(written)
    except (TimeoutError, orjson.JSONDecodeError):
        raise OverLimit("Holding the answer to the schema takes more time or memory than there is for it.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if "schema_error" in told:
        raise Reject(f"The schema is not a JSON Schema that stands by itself: {told['schema_error']}")
    found: list[str] = told["violations"]
    return found

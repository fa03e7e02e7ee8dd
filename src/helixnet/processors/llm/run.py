"""`llm.run`: the instruction is carried out on the content in one call, or on notes of all its parts."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_settings import SettingsError

from helixnet.processors.base import InputRole, Output, OverLimit, Processor, Reject, RetryPolicy, UpstreamFailed
from helixnet.processors.context import Input
from helixnet.processors.llm.asking import Asking
from helixnet.processors.llm.params import LlmParams, LlmResult, Taken
from helixnet.processors.llm.prompts import Prompts, check_template
from helixnet.processors.llm.server import Server
from helixnet.processors.llm.settings import LlmSettings
from helixnet.processors.llm.structured import LARGEST_SCHEMA, check_schema, parse_schema
from helixnet.processors.llm.work import Work
from helixnet.processors.metering import MeteredContext

LARGEST_CONTENT = 16 * 1024**2
LARGEST_WORDS = 256 * 1024


async def run(context: MeteredContext, params: LlmParams) -> LlmResult:
    """Read the job's files, ask, and write the answer down. Raises Reject, OverLimit, UpstreamFailed and Retry."""
    settings = _settings()
    model = _model(settings, params)
    prompts, content, schema = await _read(context)
    server = Server(settings)
    asking = Asking(context, settings, server, remembers=params.cache)
    work = Work(context, params, settings, asking, model, prompts)
    async with server.connected():
        if schema is None:
            reply = await work.answered(content)
            data, repairs = None, 0
            await context.write("answer.txt", reply.text.encode(errors="replace"), "text/plain; charset=utf-8")
        else:
            reply, data, repairs = await work.structured(content, schema)
            await context.write("answer.json", orjson.dumps(data), "application/json")
    await context.progress(1, "answered")
    tally = asking.tally
    return LlmResult(
        answer=reply.text if schema is None else None,
        data=data,
        model=model,
        truncated=reply.truncated,
        parts=work.parts,
        calls=tally.calls,
        cached=tally.cached,
        repairs=repairs,
        usage=Taken(
            tokens_in=tally.tokens_in,
            tokens_out=tally.tokens_out,
            cost=f"{tally.cost.normalize():f}",
            seconds=round(tally.seconds, 3),
            estimated=tally.estimated,
        ),
    )


def _settings() -> LlmSettings:
    """The operator's settings. Raises UpstreamFailed, without their values, when they make no sense."""
    try:
        return LlmSettings()
    except ValidationError as error:
        wrong = [f"{problem['loc'][0] if problem['loc'] else ''}: {problem['msg']}" for problem in error.errors()]
    except SettingsError as error:
        wrong = [str(error)]
    raise UpstreamFailed("The settings HELIX_LLM_… are not right: the operator has to mend them.", settings=wrong)


def _model(settings: LlmSettings, params: LlmParams) -> str:
    """The model to ask. Raises UpstreamFailed when the operator has set up none, Reject for one that is not allowed."""
    if not settings.base_url:
        raise UpstreamFailed(
            "No server of language models is set up here: the operator has to set HELIX_LLM_BASE_URL and"
            " HELIX_LLM_MODEL."
        )
    if params.max_output_tokens > settings.max_output_tokens:
        raise OverLimit(
            f"max_output_tokens is {params.max_output_tokens}; at most {settings.max_output_tokens} are allowed."
        )
    if params.model is not None and (params.model in settings.allowed_models or "*" in settings.allowed_models):
        return params.model
    if params.model is not None:
        allowed = ", ".join(settings.allowed_models) or "none"
        raise Reject(f"{params.model!r} is not a model that may be asked here. There are: {allowed}.")
    if not settings.model:
        raise UpstreamFailed(
            "No model is set up here: the operator has to set HELIX_LLM_MODEL, or the job to name one."
        )
    return settings.model


async def _read(context: MeteredContext) -> tuple[Prompts, str | None, dict[str, Any] | None]:
    """The instruction and the template, the content, and the schema. Raises Reject for what can't be read."""
    inputs = context.inputs
    instruction = (await _text(inputs["context_key"], LARGEST_WORDS, "instruction")).strip()
    if not instruction:
        raise Reject("The instruction is empty.")
    content = None
    if "content_key" in inputs:
        content = await _text(inputs["content_key"], LARGEST_CONTENT, "content")
        if not content.strip():
            raise Reject("The content is empty.")
    schema = None
    if "schema_key" in inputs:
        schema = parse_schema(await inputs["schema_key"].read(LARGEST_SCHEMA))
        await check_schema(schema)
    template = ""
    if "template_key" in inputs:
        template = await _text(inputs["template_key"], LARGEST_WORDS, "template")
        check_template(template, with_content=content is not None)
    written = orjson.dumps(schema).decode() if schema is not None else ""
    return Prompts(instruction, template, written), content, schema


async def _text(file: Input, limit: int, what: str) -> str:
    from helixnet.processors.text.decoding import decode

    content = await file.read(limit)
    return (await asyncio.to_thread(decode, content, what)).text if content else ""


RUN = Processor(
    name="llm.run",
    version="1",
    description="Carries out an instruction on a text of any length, with the operator's language model.",
    run=run,
    params=LlmParams,
    inputs={
        "context_key": InputRole("The instruction: what to do with the content.", max_bytes=LARGEST_WORDS),
        "content_key": InputRole("The text to work on.", required=False, max_bytes=LARGEST_CONTENT),
        "schema_key": InputRole(
            "A JSON Schema (draft 4 to 2020-12) that the answer has to fit.", required=False, max_bytes=LARGEST_SCHEMA
        ),
        "template_key": InputRole(
            "The prompt, with {{ instruction }} and {{ content }} where they belong.",
            required=False,
            max_bytes=LARGEST_WORDS,
        ),
    },
    outputs={
        "answer.txt": Output("The answer, where no schema was given.", "text/plain"),
        "answer.json": Output("The answer as data, where a schema was given.", "application/json"),
    },
    time_limit=timedelta(hours=1),
    retry=RetryPolicy(
        max_attempts=5, first=timedelta(seconds=10), longest=timedelta(minutes=10), again_after_limit=False
    ),
    metered=True,
)

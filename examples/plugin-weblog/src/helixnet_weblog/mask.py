"""weblog.mask: an access log written anew, with the clients' addresses cut to their networks."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors import Input, InputRole, JobContext, Output, Processor, Reject
from helixnet_weblog.lines import LONGEST_LINE


class MaskParams(BaseModel):
    """What the user may set."""

    model_config = ConfigDict(extra="forbid")

    ipv4_bits: int = Field(default=24, ge=0, le=32, description="How many bits of an IPv4 address to keep.")
    ipv6_bits: int = Field(default=48, ge=0, le=128, description="How many bits of an IPv6 address to keep.")


class Masked(BaseModel):
    lines: int
    addresses: int = Field(description="Lines whose client was an address; names of hosts are left out with a dash.")


async def mask(context: JobContext, params: MaskParams) -> Masked:
    """Write masked.log. Whatever the log's size, two pieces of it are in memory.

    Raises Reject for a line that is longer than any web server writes.
    """
    log = context.inputs["content_key"]
    done = Masked(lines=0, addresses=0)
    read = 0

    async def masked() -> AsyncIterator[bytes]:
        nonlocal read
        async for block in _whole_lines(log):
            # Work on each line would hold up the event loop that the worker lives by.
            yield await asyncio.to_thread(_masked, block, params, done)
            read += len(block)
            await context.progress(read / log.size, f"{done.lines:,} lines")

    await context.write("masked.log", masked(), "text/plain")
    return done


async def _whole_lines(log: Input) -> AsyncIterator[bytes]:
    """The content in blocks that end where a line ends."""
    rest = b""
    async for piece in log.stream():
        block, end, begun = piece.rpartition(b"\n")
        if end:
            yield rest + block + end
            rest = begun
        else:
            rest += begun
        if len(rest) > LONGEST_LINE:
            raise Reject(f"A line of the log is longer than {LONGEST_LINE:,} bytes.")
    if rest:
        yield rest


def _masked(block: bytes, params: MaskParams, done: Masked) -> bytes:
    """The block with the first word of each line cut; counts in `done`."""
    lines = block.splitlines(keepends=True)
    for number, line in enumerate(lines):
        host, space, rest = line.partition(b" ")
        if space:
            network = _network(host, params.ipv4_bits, params.ipv6_bits)
            done.addresses += network != b"-"
            lines[number] = network + space + rest
    done.lines += len(lines)
    return b"".join(lines)


@lru_cache(maxsize=10_000)
def _network(host: bytes, ipv4_bits: int, ipv6_bits: int) -> bytes:
    try:
        address = ipaddress.ip_address(host.decode())
    except ValueError:
        return b"-"
    bits = ipv4_bits if address.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((address, bits), strict=False).network_address).encode()


MASK = Processor(
    name="weblog.mask",
    version="1",
    description="Writes an access log anew, with the clients' addresses cut to their networks.",
    run=mask,
    params=MaskParams,
    inputs={"content_key": InputRole("An access log.", media_types=("text/*",))},
    outputs={"masked.log": Output("The log with masked addresses.", "text/plain")},
)

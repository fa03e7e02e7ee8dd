"""A third party's processors, installed for one HelixNet of the tests."""

import base64
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from helixnet.processors import BlockingContext, InputRole, JobContext, Output, Processor, Reject

# A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SECRET = "the-operators-own-words"


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Size(BaseModel):
    width: int
    height: int


class DrawParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=40, description="What stands above it.")] = "Untitled"
    copies: Annotated[int, Field(ge=1, le=9)]
    scale: Annotated[float, Field(gt=0)] = 1.5
    shiny: bool = True
    mirrored: bool | None = None
    colour: Colour = Colour.GREEN
    format: Literal["png", "svg"] | None = None
    limit: int | None = 10
    sizes: Annotated[list[Size], Field(description="How large each copy is.")] = []
    notes: str = ""


async def draw(context: JobContext, params: DrawParams) -> dict[str, Any]:
    """Tell everything that a page shows, and write one artifact of each kind."""
    for number in range(3):
        await context.output(f"piece {number} <b>&amp;</b> ")
    await context.log("drawn", copies=params.copies)
    await context.write("picture.png", PNG, "image/png")
    await context.write("liar.png", b"<script>alert(1)</script>", "image/png")
    await context.write("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")
    await context.write("words.csv", b"<b>word</b>,count\n" + b"x,1\n" * 10_000, "text/csv")
    read = {role: about.size for role, about in context.inputs.items()}
    return {"params": params.model_dump(mode="json"), "read": read}


class BreakParams(BaseModel):
    how: Literal["bug", "violations"] = "bug"


async def crash(_context: JobContext, params: BreakParams) -> None:
    if params.how == "violations":
        found = [
            {"path": "rows.3.price", "message": "should be a number <3"},
            {"path": "name", "message": "is missing"},
        ]
        raise Reject("The order does not fit its schema.", violations=found, checked=2)
    raise RuntimeError(SECRET)


def crash_apart(_context: BlockingContext, _params: BreakParams) -> None:
    raise RuntimeError(SECRET)


PROCESSORS = (
    Processor(
        name="acme.draw",
        version="7",
        description="Draws what it is told to.",
        run=draw,
        params=DrawParams,
        inputs={
            "sketch": InputRole("A rough sketch.", media_types=("image/*",), max_bytes=100_000),
            "palette": InputRole("The colours.", required=False, media_types=("text/*",)),
        },
        outputs={"*.png": Output("The drawing.", "image/png")},
    ),
    Processor(name="acme.crash", version="1", description="Breaks.", run=crash, params=BreakParams),
    Processor(
        name="acme.apart",
        version="1",
        description="Breaks in a process of its own.",
        run=crash_apart,
        params=BreakParams,
        isolation="process",
    ),
)

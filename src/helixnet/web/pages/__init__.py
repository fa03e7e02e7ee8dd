"""The dashboard's pages."""

from pathlib import Path

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).parent.parent / "static"

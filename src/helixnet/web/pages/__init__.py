"""The dashboard: pages rendered on the server, kept fresh by a live stream."""

from fastapi import APIRouter

from helixnet.web.pages import detail, files, form, listing, live, login, wisdom
from helixnet.web.pages.render import STATIC

__all__ = ["STATIC", "router"]

router = APIRouter(include_in_schema=False)
for part in (login, listing, form, detail, files, live, wisdom):
    router.include_router(part.router)

"""Processors for access logs: what HelixNet finds by the entry point."""

from helixnet_weblog.mask import MASK
from helixnet_weblog.summary import SUMMARY

PROCESSORS = (SUMMARY, MASK)

__all__ = ["PROCESSORS"]

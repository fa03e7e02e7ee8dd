"""HelixNet: a self-hosted platform for tasks and data."""

__version__ = "1.3.0"

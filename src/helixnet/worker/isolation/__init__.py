"""Processors in processes of their own, which can be killed and may use only so much.

A worker process has a template (`template`), which forks a keeper for each attempt (`keeper`), which forks the process
that does the work (`child`). See docs/explanation/isolation.md.
"""

"""The peers: job systems from PyPI on the same PostgreSQL, each used in the fast way that its documentation shows.

These files run in an environment of their own (`requirements/bench.txt`), so they import nothing of HelixNet.
"""

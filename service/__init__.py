"""MiniGate: the login and session service of WeChat mini-programs."""

__version__ = "0.1.0"
"""Of the service; that of pyproject.toml is this one."""

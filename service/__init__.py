"""MiniGate: the login and session service of WeChat mini-programs."""

"""The routes no WeChat has: they stand in for the phone, switch faults on, and count calls."""

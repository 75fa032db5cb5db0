"""What people use today instead, each written as its documentation recommends.

A peer answers `/verify` and `/login` with the bytes that MiniGate answers, and
keeps sessions in the usual layout: `session:<id>` holds JSON, `user:<openid>` the
id of the user's session. None of them has MiniGate's rules (one login at a
time, sealed keys, accounts in SQL); they do what the tutorials do.
"""

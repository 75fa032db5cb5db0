"""What people use today instead, each written as its documentation recommends.

A peer answers `/verify` and `/login` with the bytes that MiniGate answers, and
keeps sessions in the usual layout: `session:<id>` holds JSON, `user:<openid>` the
id of the user's session. Three of them answer `/accounts/login` as well, where the
user has an account in SQL. None has MiniGate's other rules (one login at a time,
sealed keys); they do what the tutorials do.
"""

"""The front page: what the simulator offers, with commands to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.simulator.settings import DEFAULT_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.simulator.world import App

_PAGE = """\
MiniGate's WeChat simulator. It speaks the wire of WeChat's server API; everybody in it is made up.

Apps: {appids}

Log in as alice, as the mini-program does with wx.login (an appid is needed if there are several):
  curl -d '{{"user": "alice", "appid": "{appid}"}}' {base}/sim/login

Exchange the code, as a server does:
  curl '{base}/sns/jscode2session?appid={appid}&secret={secret}\
&js_code=CODE&grant_type=authorization_code'

Make WeChat misbehave, see what is switched on and what could be, make it behave again:
  curl -d '{{"kind": "errcode", "errcode": -1, "times": 2}}' {base}/sim/faults
  curl {base}/sim/faults
  curl -X DELETE {base}/sim/faults

See how often it was called and with what outcome, and start counting afresh:
  curl {base}/sim/stats
  curl -X DELETE {base}/sim/stats
"""


def front_page(apps: Iterable[App], *, host: str) -> str:
    """Return the page. It tells no AppSecret but the default one, which is no secret."""
    listed = list(apps)
    first = listed[0]
    return _PAGE.format(
        appids=", ".join(app.appid for app in listed),
        appid=first.appid,
        secret=DEFAULT_SECRET if first.secret == DEFAULT_SECRET else "SECRET",
        base=f"http://{host}",
    )

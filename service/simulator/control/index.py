"""The front page: what the simulator offers, with commands to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanic.response import text

from service.simulator.settings import DEFAULT_SECRET

if TYPE_CHECKING:
    from sanic.response import HTTPResponse

    from service.simulator.context import SimulatorRequest

_PAGE = """\
MiniGate's WeChat simulator. It speaks the wire of WeChat's server API; everybody in it is made up.

Apps: {appids}

Log in as alice, as the mini-program does with wx.login (an appid is needed if there are several):
  curl -d '{{"user": "alice", "appid": "{appid}"}}' {base}/sim/login

Exchange the code, as a server does:
  curl '{base}/sns/jscode2session?appid={appid}&secret={secret}\
&js_code=CODE&grant_type=authorization_code'

Press the button that asks for alice's phone number, and look the number up with a token:
  curl -d '{{"user": "alice", "appid": "{appid}"}}' {base}/sim/phone
  curl -d '{{"user": "alice", "phone": "+852 61234567", "appid": "{appid}"}}' {base}/sim/phone
  curl -d '{{"grant_type": "client_credential", "appid": "{appid}", "secret": "{secret}"}}' \
{base}/cgi-bin/stable_token
  curl -d '{{"code": "CODE"}}' '{base}/wxa/business/getuserphonenumber?access_token=TOKEN'

Have her profile encrypted and signed, as wx.getUserProfile does (or, with her openid in it,
as wx.getUserInfo did):
  curl -d '{{"user": "alice", "nickName": "Alice", "appid": "{appid}"}}' {base}/sim/profile
  curl -d '{{"user": "alice", "openid": true, "appid": "{appid}"}}' {base}/sim/profile

Replace her session_key behind the server's back, as data pre-fetch does:
  curl -d '{{"user": "alice", "appid": "{appid}"}}' {base}/sim/session_key

The other calls with a token: /wxa/checksession, /wxa/resetusersessionkey, /wxa/msg_sec_check.

Make WeChat misbehave, see what is switched on and what could be, make it behave again:
  curl -d '{{"kind": "errcode", "errcode": -1, "times": 2}}' {base}/sim/faults
  curl -d '{{"kind": "token_superseded", "every": 100}}' {base}/sim/faults
  curl {base}/sim/faults
  curl -X DELETE {base}/sim/faults

Unplug the embedded Redis of `make run`, and plug it in again:
  curl -d '{{"plugged": false}}' {base}/sim/redis
  curl -d '{{"plugged": true}}' {base}/sim/redis

See how often it was called and with what outcome, and start counting afresh:
  curl {base}/sim/stats
  curl -X DELETE {base}/sim/stats
"""


async def index(request: SimulatorRequest) -> HTTPResponse:
    """Say what there is here. It tells no AppSecret but the default one, which is no secret."""
    apps = list(request.app.ctx.world.apps.values())
    first = apps[0]
    page = _PAGE.format(
        appids=", ".join(app.appid for app in apps),
        appid=first.appid,
        secret=DEFAULT_SECRET if first.secret == DEFAULT_SECRET else "SECRET",
        base=f"http://{request.host}",
    )
    return text(page)

"""`simulate`: the WeChat simulator alone, for tests and for a service started otherwise."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from service.cli.language import Text

if TYPE_CHECKING:
    from argparse import Namespace

    from service.cli.commands import Commands
    from service.cli.output import Output

_HELP: Final = Text(
    "start the WeChat simulator alone; not in production", "单独启动微信模拟器；不能用于生产环境"
)
_DETAILS: Final = Text(
    """It lets anybody log in as anybody. Variables of the environment:

  SIMULATOR_HOST                          127.0.0.1
  SIMULATOR_PORT                          8001; 0: any free one
  SIMULATOR_APPS                          JSON: [{"appid": "wx..", "secret": ".."}]; unset: one app,
                                          wx5111aa7e00c0ffee
  SIMULATOR_CODE_LIFE_SECONDS             300
  SIMULATOR_SESSION_KEY_INTERVAL_SECONDS  60: logins closer together share a session_key
  SIMULATOR_SESSION_KEY_ROTATION          1.0: the chance that a later one gets a new session_key
  SIMULATOR_SESSION_KEY_LIFE_SECONDS      259200
  SIMULATOR_MINUTE_QUOTA                  100 logins of a user
  SIMULATOR_TOKEN_LIFE_SECONDS            7200
  SIMULATOR_TOKEN_OVERLAP_SECONDS         300
  SIMULATOR_TOKEN_DAILY_QUOTA             2000 calls of /cgi-bin/token
  SIMULATOR_REDIS_PID                     of a Redis that /sim/redis stops and lets go on

A service asks it with WECHAT_API_BASE=http://127.0.0.1:8001 and its appid and secret.
GET / explains the rest.""",
    """它允许任何人以任何身份登录。可用的环境变量：

  SIMULATOR_HOST                          127.0.0.1
  SIMULATOR_PORT                          8001；0 表示任意空闲端口
  SIMULATOR_APPS                          JSON：[{"appid": "wx..", "secret": ".."}]；不设时只有一个
                                          小程序 wx5111aa7e00c0ffee
  SIMULATOR_CODE_LIFE_SECONDS             300，code 的有效秒数
  SIMULATOR_SESSION_KEY_INTERVAL_SECONDS  60，间隔更短的登录共用 session_key
  SIMULATOR_SESSION_KEY_ROTATION          1.0，之后的登录换新 session_key 的概率
  SIMULATOR_SESSION_KEY_LIFE_SECONDS      259200，session_key 的有效秒数
  SIMULATOR_MINUTE_QUOTA                  100，每个用户每分钟的登录次数
  SIMULATOR_TOKEN_LIFE_SECONDS            7200，access_token 的有效秒数
  SIMULATOR_TOKEN_OVERLAP_SECONDS         300，新旧 access_token 的重叠秒数
  SIMULATOR_TOKEN_DAILY_QUOTA             2000，每天调用 /cgi-bin/token 的次数
  SIMULATOR_REDIS_PID                     可由 /sim/redis 暂停和恢复的 Redis 进程

让服务使用它：WECHAT_API_BASE=http://127.0.0.1:8001，并使用它的 appid 和 secret。
其余说明见 GET /。""",
)


def add(commands: Commands) -> None:
    """It takes none."""
    commands.add("simulate", _HELP, run, details=_DETAILS)


def run(_arguments: Namespace, _output: Output) -> int:
    """Become the simulator: a program of its own, which this service knows nothing of."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "service.simulator"])  # noqa: S606 # our own module

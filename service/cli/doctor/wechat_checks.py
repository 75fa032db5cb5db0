"""WeChat: whether it takes appid and AppSecret of each mini-program, by stable_token."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from service.cli.doctor.findings import Check, Finding, ok, wrong
from service.cli.language import Text
from service.core.errors import ServiceError
from service.wechat.access_token import ask_for_token
from service.wechat.errcodes import TOKENED
from service.wechat.http import ErrcodeReturned
from service.wechat.meanings import meaning_of

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.core.models import WeChatApp
    from service.wechat.http import WeChatHttp

_FINE: Final = Text("accepts the AppSecret", "接受 AppSecret")
_AWAY: Final = Text("no usable answer from {hosts} ({why})", "{hosts} 没有可用的应答（{why}）")
_CONNECT: Final = Text(
    "see that this machine reaches WECHAT_API_BASE by https, DNS and firewall included",
    "确认本机能通过 https 访问 WECHAT_API_BASE，包括 DNS 和防火墙",
)


def wechat_checks(http: WeChatHttp, settings: Settings) -> list[Check]:
    """One for each mini-program."""
    return [
        Check(
            f"wechat:{appid}",
            Text(f"WeChat {appid}", f"微信 {appid}"),
            partial(_credentials, http, app, settings),
        )
        for appid, app in settings.apps.items()
    ]


async def _credentials(http: WeChatHttp, app: WeChatApp, settings: Settings) -> list[Finding]:
    """In normal mode it hands out the token that lives, to whoever asks: nobody is disturbed."""
    try:
        await ask_for_token(http, app, expected=frozenset(TOKENED))
    except ErrcodeReturned as refused:
        found = meaning_of(refused.errcode, app.appid)
        text = Text(f"{refused.errcode}: {found.en}", f"{refused.errcode}：{found.zh}")
        return [wrong(text, Text(found.cure, found.cure_zh))]
    except ServiceError as error:  # one that it does not know among them
        hosts = ", ".join(settings.wechat_api_base)
        return [wrong(_AWAY, _CONNECT, hosts=hosts, why=error.error)]
    return [ok(_FINE)]

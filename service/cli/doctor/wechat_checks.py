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

if TYPE_CHECKING:
    from service.config.settings import Settings
    from service.core.models import WeChatApp
    from service.wechat.http import WeChatHttp

_SECRET: Final = Text(
    "reset it in the console, and set WECHAT_SECRET or WECHAT_APPS anew",
    "在公众平台重置，并更新 WECHAT_SECRET 或 WECHAT_APPS",
)
_NOTICES: Final = Text("see the notices in WeChat's console", "查看公众平台的通知")
_CONFIRM: Final = Text(
    "the mini-program's administrator has to confirm this server's address, as WeChat has asked",
    "小程序管理员需要按微信的提示确认本服务器的地址",
)
_MEANINGS: Final = {
    -1: (
        Text("WeChat is busy", "微信繁忙"),
        Text("it passes by itself; ask again", "会自行恢复；请稍后再试"),
    ),
    40001: (Text("the AppSecret is wrong", "AppSecret 不正确"), _SECRET),
    40013: (
        Text("WeChat knows no such appid", "微信没有这个 appid"),
        Text(
            "compare WECHAT_APPID or WECHAT_APPS with WeChat's console; it begins with wx",
            "与公众平台核对 WECHAT_APPID 或 WECHAT_APPS；appid 以 wx 开头",
        ),
    ),
    40125: (Text("the AppSecret is wrong, or was reset", "AppSecret 不正确，或已被重置"), _SECRET),
    40164: (
        Text("this server's address is not on the app's IP list", "本服务器的地址不在 IP 白名单中"),
        Text(
            "add it in WeChat's console (开发管理 → 开发设置 → IP白名单)",
            "在公众平台添加：开发管理 → 开发设置 → IP白名单",
        ),
    ),
    40243: (
        Text("the AppSecret is frozen", "AppSecret 已冻结"),
        Text("unfreeze it in WeChat's console, or reset it", "在公众平台解冻，或重置"),
    ),
    45009: (
        Text("the quota of today is used up", "今日调用次数已用完"),
        Text("clear or raise it in WeChat's console", "在公众平台清零或提高额度"),
    ),
    50002: (Text("WeChat has restricted the account", "账号被微信限制"), _NOTICES),
    50004: (Text("the account may have no access_token", "账号不能获取 access_token"), _NOTICES),
    50007: (Text("WeChat has frozen the account", "账号被微信冻结"), _NOTICES),
    89501: (Text("this server's address waits for consent", "本服务器的地址等待确认"), _CONFIRM),
    89503: (Text("this server's address needs consent", "本服务器的地址需要确认"), _CONFIRM),
    89506: (
        Text("the administrator has refused this address twice", "管理员已两次拒绝本地址"),
        Text("call from another address, or wait 24 hours", "换一个地址，或等待 24 小时"),
    ),
    89507: (
        Text("the administrator has refused this address", "管理员已拒绝本地址"),
        Text("it may ask again in an hour", "一小时后可再次请求确认"),
    ),
}
_UNKNOWN: Final = (
    Text("an errcode that MiniGate does not know", "MiniGate 不认识的 errcode"),
    Text("look it up in WeChat's list of return codes", "查阅微信的全局返回码"),
)
_FINE: Final = Text("accepts the AppSecret", "接受 AppSecret")
_REFUSED: Final = Text("{errcode}: {meaning}", "{errcode}：{meaning}")
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
        meaning, cure = _meaning(refused.errcode)
        text = Text(
            _REFUSED.en.replace("{meaning}", meaning.en),
            _REFUSED.zh.replace("{meaning}", meaning.zh),
        )
        return [wrong(text, cure, errcode=refused.errcode)]
    except ServiceError as error:  # one that it does not know among them
        hosts = ", ".join(settings.wechat_api_base)
        return [wrong(_AWAY, _CONNECT, hosts=hosts, why=error.error)]
    return [ok(_FINE)]


def _meaning(errcode: int) -> tuple[Text, Text]:
    """What an errcode of stable_token means, and what to do."""
    return _MEANINGS.get(errcode, _UNKNOWN)

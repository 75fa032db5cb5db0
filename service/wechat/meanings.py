"""What WeChat's errcodes mean to an operator, and what there is to do, in English and Chinese.

Of all that somebody has to do something about. The meanings are those of WeChat's list of
global return codes; what helps is our own experience of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from service.wechat.errcodes import APP_QUOTA, SYSTEM_BUSY

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meaning(NamedTuple):
    """What is the matter, and the cure; `{appid}` and `{ip}` are to be put in."""

    en: str
    cure: str
    zh: str
    cure_zh: str

    def about(self, appid: str, ip: str | None = None) -> Meaning:
        """With the mini-program, and the address that WeChat has named as ours, put in."""
        return Meaning(
            self.en.format(appid=appid, ip=ip or "of this service"),
            self.cure.format(appid=appid),
            self.zh.format(appid=appid, ip=ip or "（本服务的）"),
            self.cure_zh.format(appid=appid),
        )


_CONSOLE: Final = "mp.weixin.qq.com, Development settings"
_CONSOLE_ZH: Final = "mp.weixin.qq.com 的“开发管理 → 开发设置”"
_CHANGED: Final = (
    "MiniGate always sends it, so something between it and WeChat changes requests",
    "MiniGate 每次都会发送，应是两者之间的代理改动了请求",
)
_NEW_SECRET: Final = (
    f"reset it at {_CONSOLE}, and set WECHAT_SECRET, or WECHAT_APPS, of every service anew",
    f"在 {_CONSOLE_ZH} 重置，并更新每个服务的 WECHAT_SECRET 或 WECHAT_APPS",
)
_FETCHED_ELSEWHERE: Final = (
    "another service with this appid makes it void by /cgi-bin/token: have it use stable_token",
    "另有服务用同一 appid 调用 /cgi-bin/token 使它失效：让那边改用 stable_token",
)
_CONFIRM: Final = (
    "the mini-program's administrator has to confirm it, in the message from WeChat",
    "由小程序管理员在微信发来的消息里确认",
)
_NOTICES: Final = ("see the notices at mp.weixin.qq.com", "查看 mp.weixin.qq.com 的通知")


def _meaning(en: str, zh: str, cure: tuple[str, str]) -> Meaning:
    return Meaning(en, cure[0], zh, cure[1])


MEANINGS: Final[Mapping[int, Meaning]] = {
    SYSTEM_BUSY: _meaning("WeChat is busy", "微信繁忙", ("it passes by itself", "会自行恢复")),
    40001: _meaning(
        "the AppSecret is not that of {appid}, or its access_token is void twice in a row",
        "AppSecret 不是 {appid} 的，或其 access_token 连续两次失效",
        _FETCHED_ELSEWHERE,
    ),
    40002: _meaning("grant_type is wrong", "grant_type 不正确", _CHANGED),
    40003: _meaning(
        "the openid is not one of {appid}",
        "openid 不属于 {appid}",
        ("were the appids of WECHAT_APPS exchanged?", "检查 WECHAT_APPS 中的 appid 是否填反"),
    ),
    40013: _meaning(
        "WeChat knows no appid {appid}",
        "微信没有 {appid} 这个 appid",
        (
            f"compare WECHAT_APPID, or WECHAT_APPS, with that at {_CONSOLE}; it begins with wx",
            f"与 {_CONSOLE_ZH} 核对 WECHAT_APPID 或 WECHAT_APPS；它以 wx 开头",
        ),
    ),
    40014: _meaning(
        "the access_token of {appid} is void twice in a row",
        "{appid} 的 access_token 连续两次无效",
        _FETCHED_ELSEWHERE,
    ),
    40125: _meaning(
        "the AppSecret of {appid} is wrong, or was reset",
        "{appid} 的 AppSecret 不正确，或已被重置",
        _NEW_SECRET,
    ),
    40164: _meaning(
        "the address {ip}, from which this service calls WeChat, is not on the IP whitelist of"
        " {appid}",
        "调用微信的地址 {ip} 不在 {appid} 的 IP 白名单中",
        (f"add it at {_CONSOLE}, IP whitelist", f"在 {_CONSOLE_ZH} 的 IP 白名单里添加"),
    ),
    40166: _meaning(
        "there is no mini-program {appid} any more",
        "小程序 {appid} 已不存在",
        ("compare WECHAT_APPID, or WECHAT_APPS", "核对 WECHAT_APPID 或 WECHAT_APPS"),
    ),
    40243: _meaning(
        "the AppSecret of {appid} is frozen",
        "{appid} 的 AppSecret 已被冻结",
        (
            f"unfreeze it at {_CONSOLE}, or {_NEW_SECRET[0]}",
            f"在 {_CONSOLE_ZH} 解冻；或{_NEW_SECRET[1]}",
        ),
    ),
    41001: _meaning("the access_token is missing", "缺少 access_token", _CHANGED),
    41002: _meaning("the appid is missing", "缺少 appid", _CHANGED),
    41004: _meaning("the AppSecret is missing", "缺少 AppSecret", _CHANGED),
    41008: _meaning("the code is missing", "缺少 code", _CHANGED),
    42001: _meaning(
        "the access_token of {appid} has ended twice in a row",
        "{appid} 的 access_token 连续两次过期",
        _FETCHED_ELSEWHERE,
    ),
    43002: _meaning("the method of the request is wrong", "请求方法不正确", _CHANGED),
    44002: _meaning("the body is empty", "请求体为空", _CHANGED),
    APP_QUOTA: _meaning(
        "the quota of {appid} is used up for today",
        "{appid} 今日的调用次数已用完",
        ("raise or clear it at mp.weixin.qq.com", "在 mp.weixin.qq.com 提高额度或清零"),
    ),
    47001: _meaning("the body is not JSON", "请求体不是 JSON", _CHANGED),
    48001: _meaning(
        "{appid} may not call this interface",
        "{appid} 没有这个接口的权限",
        (
            "verify the account, or apply for it, at mp.weixin.qq.com (phone numbers: no persons)",
            "在 mp.weixin.qq.com 完成认证或申请该接口；手机号只对已认证的非个人账号开放",
        ),
    ),
    48017: _meaning(
        "the request reached an address that WeChat has retired",
        "请求到达了微信已停用的地址",
        (
            "remove what pins the address of api.weixin.qq.com, in /etc/hosts or in a resolver",
            "去掉 /etc/hosts 或 DNS 中对 api.weixin.qq.com 的固定解析",
        ),
    ),
    50002: _meaning("WeChat has restricted the account of {appid}", "{appid} 被微信限制", _NOTICES),
    50004: _meaning(
        "WeChat lets {appid} have no access_token, maybe as a penalty",
        "微信不允许 {appid} 获取 access_token，可能是处罚",
        _NOTICES,
    ),
    50007: _meaning("WeChat has frozen the account of {appid}", "{appid} 被微信冻结", _NOTICES),
    61024: _meaning(
        "{appid} is run by a third-party platform, whose own access_token it needs",
        "{appid} 由第三方平台代管，需要用该平台的 access_token",
        ("take it back at mp.weixin.qq.com", "在 mp.weixin.qq.com 收回授权"),
    ),
    89501: _meaning("the address {ip} waits for a confirmation", "地址 {ip} 等待确认", _CONFIRM),
    89503: _meaning(
        "the address {ip} may not call for {appid} yet", "地址 {ip} 还不能为 {appid} 调用", _CONFIRM
    ),
    89506: _meaning(
        "the administrator of {appid} has refused the address {ip} twice",
        "{appid} 的管理员已两次拒绝地址 {ip}",
        (
            "for 24 hours nothing helps but another address",
            "24 小时内只能换一个地址",
        ),
    ),
    89507: _meaning(
        "the administrator of {appid} has refused the address {ip}",
        "{appid} 的管理员已拒绝地址 {ip}",
        ("it may ask again in an hour", "一小时后可再次请求确认"),
    ),
}
_UNKNOWN: Final = Meaning(
    "not an errcode that MiniGate knows",
    "WeChat's global return codes may have it",
    "MiniGate 不认识的 errcode",
    "查阅微信的全局返回码",
)


def meaning_of(errcode: int | None, appid: str, ip: str | None = None) -> Meaning:
    """What it means and what to do. `ip`: the address that WeChat has named as ours."""
    found = _UNKNOWN if errcode is None else MEANINGS.get(errcode, _UNKNOWN)
    return found.about(appid, ip)

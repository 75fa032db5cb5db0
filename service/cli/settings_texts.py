"""What a setting is, and what is wrong with one, in the reader's language.

The settings themselves say it in English. What is not in these tables stays so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from service.config.settings import Settings

if TYPE_CHECKING:
    from service.cli.language import Language

DESCRIPTIONS: Final = {
    "environment": "production 不用任何替身，并要求配齐所有机密",
    "dyno": "由 Heroku 设置；只要非空就视为生产环境",
    "host": "监听地址；默认开发环境为 127.0.0.1，生产环境为 0.0.0.0",
    "port": "监听端口",
    "web_concurrency": "worker 进程数",
    "drain_seconds": "收到停止信号后继续服务的秒数，其间 /readyz 为 503",
    "redis_url": "单台服务器、集群或 Sentinel；设了 REDIS_TLS_URL 则优先用它",
    "redis_tls_verify": "none 接受任何证书，托管 Redis 的自签名证书需要它",
    "redis_sentinel_username": "REDIS_URL 中 Sentinel 自己的用户",
    "redis_sentinel_password": "Sentinel 自己的密码；服务器的密码写在 REDIS_URL 里",
    "redis_prefix": "所有键名的开头；共用一个 Redis 的每个服务各用一个",
    "redis_max_connections": "每个 worker、每个主节点的连接数",
    "redis_timeout_ms": "单次尝试的毫秒数；读操作共两次",
    "database_url": "postgresql://、postgres:// 或 sqlite:///",
    "database_connections": "每个 worker 的数据库连接数",
    "avatar_store": "file://<目录> 或 s3://<bucket>/<前缀>",
    "avatar_max_bytes": "上传图片的最大字节数",
    "wechat_appid": "小程序的 appid",
    "wechat_secret": "小程序的 AppSecret",
    "wechat_apps": '多个小程序，JSON：[{"appid": "wx..", "secret": ".."}]',
    "wechat_api_base": "微信的域名，按优先顺序，逗号分隔",
    "wechat_timeout_ms": "一次调用的毫秒数，含所有尝试",
    "wechat_concurrency": "每个 worker 同时进行的调用数；超出的等待，之后返回 503",
    "phone_send_openid": "让微信核对手机号 code 是不是本人的",
    "phone_from_encrypted_data": "join 把 encryptedData 里的号码当作与 code 同样可靠",
    "check_nicknames": "让微信检查昵称（msg_sec_check）",
    "probe_session_keys": "让客户端重新登录之前，先问微信（checksession）",
    "encrypted_data_max_age": "encryptedData 最多可以多旧，秒",
    "simulator_port": "微信模拟器的端口",
    "secret_keys": "逗号分隔，每个至少 32 个字符；第一个用于加密，全部都能解密",
    "internal_token": "其他后端凭它使用 /internal/access-token；至少 32 个字符",
    "admin_tokens": "名字:密钥，逗号分隔：谁可以使用 /admin；不设则谁都不能",
    "metrics_token": "凭它（Bearer）可以从别的机器读取 /metrics；至少 32 个字符",
    "proxies_count": "前面自己的代理数，每个都会在 X-Forwarded-For 末尾加上地址",
    "trusted_proxies": "这些代理所在的网段，逗号分隔",
    "limit_login_per_address": "每个地址的登录；因所发内容而失败的算十次",
    "limit_login_per_app": "每个小程序拿去微信的登录 code",
    "limit_login": "拿去微信的全部登录 code",
    "limit_dead_sessions_per_address": "每个地址所带的失效会话 id；有效的始终放行",
    "limit_operator_token_per_address": "每个地址的错误令牌；正确的始终放行",
    "limit_phone_codes_per_user": "每个用户送往微信的手机号 code",
    "limit_phone_codes_per_app": "同上，按小程序计；微信按次收费",
    "limit_uploads_per_user": "每个用户上传图片",
    "limit_nicknames_per_user": "每个用户修改昵称",
    "limit_decrypt_per_user": "每个用户解密 encryptedData",
    "limit_failed_decrypt_per_session": "每个会话解不开的 encryptedData",
    "limit_failed_decrypt_per_user": "同上，按用户计",
    "session_ttl": "会话寿命，秒",
    "session_renewal": "fixed：登录后 SESSION_TTL 秒结束；sliding：使用即续期",
    "session_max_age": "sliding 会话的最长寿命，秒",
    "sessions_since": "Unix 时间；在此之前登录的会话一律失效",
    "session_confirm_replicas": "登录、登出或踢出须有这么多副本确认才算数",
    "login_coalesce_ms": "同一用户在此毫秒数内的登录共用会话；0 表示从不共用",
    "device_classes": "每个用户每种类别一个会话；第一个是默认类别",
    "auth_error_status": "200 给只看响应体的老客户端；/verify 始终用 401",
    "wafer_compat": "兼容 wafer2-client-sdk 的小程序：/weapp/login、X-WX-Skey",
    "events_kept": "留在 Redis 里的会话事件条数；0 表示不留",
    "events_address": "事件里怎样记客户端地址；network：/24、/56",
    "tracing": "用 OpenTelemetry 发送 span，发往何处由 OTEL_* 决定",
    "log_format": "不设时，终端和开发环境用 text，生产环境用 json",
    "log_level": "最低的日志级别",
    "access_log": "每个请求一行日志；会降低吞吐",
}
"""In Chinese."""

_RULES: Final = [
    (re.compile(pattern), chinese)
    for pattern, chinese in (
        (r"missing", "未设置"),
        (r"Input should be a valid integer.*", "应为整数"),
        (r"Input should be a valid boolean.*", "应为 true 或 false"),
        (r"Input should be greater than or equal to (.*)", r"不得小于 \1"),
        (r"Input should be less than or equal to (.*)", r"不得大于 \1"),
        (r"Input should be ('.*'|\d+ or \d+)", r"只能是 \1"),
        (r"(?:each key )?needs (\d+) characters or more", r"每个至少 \1 个字符"),
        (r"must be random: .*", "必须是随机的：用 python -m service keys new 生成"),
        (
            r"the first key must be random: .*",
            "第一个密钥必须是随机的：用 python -m service keys new 生成，并把现有的放在其后",
        ),
        (r"must begin with (?:one of )?(.*)", r"必须以其中之一开头：\1"),
        (r"must be of the form (.*)", r"格式应为 \1"),
        (r"must be (file://.*)", r"必须是 \1"),
        (r"set it or (\w+), not both", r"与 \1 只能设置一个"),
        (r"set both or none", "要么都设置，要么都不设置"),
        (r"the file cannot be read: (.*)", r"文件无法读取：\1"),
        (r"the file is not UTF-8", "文件不是 UTF-8 编码"),
        (r"the file is empty", "文件是空的"),
        (r"must not be below SESSION_TTL", "不得小于 SESSION_TTL"),
        (r"is in the future: .*", "是将来的时间：到那时之前谁也无法登录"),
        (r"must differ from PORT", "不能与 PORT 相同"),
        (r"is of no use without (.*)", r"没有 \1 时不起作用"),
        (r"must be 401 with WAFER_COMPAT", "启用 WAFER_COMPAT 时必须是 401"),
        (r"must be https:// in production", "生产环境必须用 https://"),
        (r"\.env is not UTF-8: .*", ".env 不是 UTF-8 编码：请另存为 UTF-8"),
        (r"\.env cannot be read: (.*)", r".env 无法读取：\1"),
    )
]


def description_of(name: str, language: Language) -> tuple[str, str]:
    """What the setting is, and its default; both "" for what is none of ours."""
    field = Settings.model_fields.get(name.lower())
    if field is None:
        return "", ""
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif isinstance(default, bool):
        default = str(default).lower()
    shown = "" if default is None else str(default)
    chinese = DESCRIPTIONS.get(name.lower())
    return (chinese if language == "zh" and chinese else field.description or "", shown)


def rule_in(rule: str, language: Language) -> str:
    """What is wrong with a value."""
    if language == "zh":
        for pattern, chinese in _RULES:
            if told := pattern.fullmatch(rule):
                return told.expand(chinese)
    return rule

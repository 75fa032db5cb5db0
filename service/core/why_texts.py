"""How it is said why a session has ended: a sentence each, in English and Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sentence(NamedTuple):
    """The same in both languages; names in braces are put in."""

    en: str
    zh: str

    def about(self, names: Mapping[str, Sentence]) -> Sentence:
        """With the names put in, as each language says them."""
        return Sentence(
            self.en.format_map({name: said.en for name, said in names.items()}),
            self.zh.format_map({name: said.zh for name, said in names.items()}),
        )


SAID: Final[Mapping[str, Sentence]] = {
    "replaced": Sentence(
        "Replaced by a newer login{place}: there is one session for each mini-program and device"
        " class ({device}).",
        "被一次新的登录取代{place}：每个小程序、每种设备类型（{device}）只有一个会话。",
    ),
    "replaced_key_lost": Sentence(
        "Replaced by a newer login{place}, to which nothing could be handed on: the key that"
        " sealed it has left SECRET_KEYS.",
        "被一次新的登录取代{place}；封存它的密钥已不在 SECRET_KEYS 中，新会话无法沿用其中的内容。",
    ),
    "logout": Sentence("Logged out by the user{place}.", "用户主动退出登录{place}。"),
    "expired": Sentence(
        "Expired: opened or last renewed at {begun}, it had {ttl} s (SESSION_TTL).",
        "到期：它于 {begun} 建立或最后续期，有效期 {ttl} 秒（SESSION_TTL）。",
    ),
    "expired_earlier": Sentence(
        "Had ended when its holder asked: expired, most likely. Its login is not among the events"
        " that are kept.",
        "客户端来访时会话已不存在，多半是到期；它的登录不在保留的事件之中。",
    ),
    "too_old": Sentence(
        "Expired: it had reached the age that no session outlives, although Redis still had it.",
        "到期：虽然 Redis 中还有记录，但它已达到会话的最长寿命。",
    ),
    "lost": Sentence(
        "Gone from Redis before its time ({due}), and no event says why: Redis has lost data"
        " (restart, failover, eviction, FLUSHALL), or lost the event.",
        "未到期（{due}）就从 Redis 中消失，也没有事件说明原因：Redis 丢失了数据"
        "（重启、故障切换、内存淘汰或 FLUSHALL），或丢失了该事件。",
    ),
    "kicked": Sentence("Ended by the operator {by} (kick).", "被管理员 {by} 强制下线。"),
    "banned": Sentence(
        "Ended because the operator {by} banned the user{until}{reason}.",
        "管理员 {by} 封禁了该用户{until}{reason}，会话随之结束。",
    ),
    "sessions_ended": Sentence(
        "The operator {by} ended all sessions{scope} of logins before {before}.",
        "管理员 {by} 结束了{scope}在 {before} 之前登录的所有会话。",
    ),
    "ended_by_operator": Sentence(
        "Ended by an operator, with all sessions of its time (SESSIONS_SINCE, or sessions end).",
        "被管理员与同期的所有会话一起结束（SESSIONS_SINCE 或 sessions end）。",
    ),
    "not_served": Sentence(
        "Ended because its mini-program or device class is not in the settings any more.",
        "它所属的小程序或设备类型已不在配置中，会话因此失效。",
    ),
    "key_lost": Sentence(
        "Still good, but its holder was sent to log in again by /decrypt: the key that sealed it"
        " has left SECRET_KEYS.",
        "会话仍有效，但 /decrypt 要求客户端重新登录：封存它的密钥已不在 SECRET_KEYS 中。",
    ),
    "account_deleted": Sentence("The user deleted the account.", "用户注销了账号。"),
    "account_deleted_by": Sentence(
        "The operator {by} deleted the account.", "管理员 {by} 删除了该账号。"
    ),
    "user_gone": Sentence(
        "Ended because the user is not in the database any more: deleted, or a backup was"
        " restored.",
        "用户已不在数据库中（被删除，或数据库从备份恢复），会话因此结束。",
    ),
}
"""By a word for the cause."""
PLACE: Final = Sentence(" (from {address})", "（来自 {address}）")
UNTIL: Final = Sentence(" until {time}", "至 {time}")
REASON: Final = Sentence(" ({reason})", "（{reason}）")
SCOPE: Final = Sentence(" of {what}", " {what} ")
NOTHING: Final = Sentence("", "")
SOMEBODY: Final = Sentence("(unknown)", "（未知）")

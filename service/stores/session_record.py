"""The one JSON string that Redis keeps per user: how it is written and read.

v     version of this layout; absent in the first
h     the handle again, so that a reply meant for another key is recognised
d     digest of the session's secret
p     the digests' first 8 characters of the last four sessions that were
      replaced, the newest first (added by create.lua)
app   appid             openid, unionid   WeChat's ids
uid   user id           dev               device class, absent if "default"
iat   milliseconds since the epoch, clock of Redis
life  seconds from iat that the session may live at most
slide true if use renews it, within `life`: then only Redis knows how much is
      left; absent if not
k     sealed: secret, session_key, previous session_key; after a ~ with the session_key
      of the session that this one replaced as its last
end   why an operator ended it; endAt, when; endBy, by which call; until, for a ban that
      ends by itself: when, in seconds (added by terminate.lua, at the end)
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from service.core import base64url
from service.core.models import (
    DIGEST_LENGTH,
    SECRET_BYTES,
    SESSION_KEY_BYTES,
    Session,
    SessionId,
    SessionKeys,
)

if TYPE_CHECKING:
    from service.core.lifetime import Lifetime
    from service.core.models import WeChatIdentity
    from service.stores.keyring import Keyring

_VERSION: Final = 1
_required: Final = itemgetter("d", "app", "openid", "uid", "k", "iat", "life")
_ENDINGS: Final = frozenset({"kicked", "banned"})
_YEAR: Final = 366 * 86400
_NONE_OF_OURS: Final = "a field is missing, or is none of ours"
_MARKS: Final = 4
_MARK_LENGTH: Final = 8
USUAL_DEVICE: Final = "default"
_WITH_FORMER: Final = "~"
"""Before what is sealed, and part of what it is sealed for; a version that does not know of it
finds nothing that it could open."""


class InvalidRecord(Exception):
    """What Redis answered is not a record that can be read; says why."""


class ForeignRecord(InvalidRecord):
    """It is the record of another key, and so the reply to something else."""


class OtherVersion(InvalidRecord):
    """It is this key's, of another version of this service: before an update, or a rollback."""


class Ending(NamedTuple):
    """That an operator ended the session. Times are Unix seconds."""

    reason: Literal["kicked", "banned"]
    at: int
    until: int | None
    """When a ban ends by itself."""


@dataclass(slots=True)  # not frozen: that costs a microsecond per request
class SessionRecord:
    """A record as read from Redis.

    Its fields are looked up in the JSON, and judged, once: a look goes by them several times.
    """

    handle: str
    """The handle that it is kept under."""
    digest: str
    """Digest of the live secret."""
    appid: str
    """The mini-program."""
    openid: str
    unionid: str | None
    device: str
    """The device class that logged in."""
    user_id: str
    issued_at: int
    """Milliseconds since the epoch."""
    longest_ms: int
    """The milliseconds from `issued_at` that it may live, however often it is renewed."""
    slides: bool
    """Whether it may end before `longest_ms`: it was opened to be renewed by use."""
    sealed: str
    """The sealed part, as stored."""
    ending: Ending | None
    """None while it lives."""
    marks: str
    """Of the sessions that it replaced."""

    @classmethod
    def read(cls, raw: bytes, *, handle: str) -> SessionRecord:
        """Parse and make sure that it is `handle`'s; raises InvalidRecord."""
        try:
            fields = orjson.loads(raw)
            named = fields["h"]
        except (ValueError, TypeError, KeyError):
            raise InvalidRecord("not a record") from None
        if named != handle:
            foreign = isinstance(named, str)
            raise ForeignRecord("another key's") if foreign else InvalidRecord("not a record")
        version = fields.get("v", _VERSION)
        if type(version) is not int:
            raise InvalidRecord("not a record")
        if version != _VERSION:
            raise OtherVersion("written by another version")
        return cls._of(fields)

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> SessionRecord:
        """Make sure that every field is there that has to be, and each is what it can be."""
        try:
            digest, appid, openid, user_id, sealed, issued_at, life = _required(fields)
        except KeyError:
            raise InvalidRecord(_NONE_OF_OURS) from None
        # Also where there are none of these: the time would tell whether a session is there.
        unionid, device = fields.get("unionid", ""), fields.get("dev", USUAL_DEVICE)
        marks = fields.get("p", "")
        is_right = (
            type(digest) is type(appid) is type(openid) is type(user_id) is type(sealed) is str
            and type(unionid) is type(device) is type(marks) is str
            and type(issued_at) is type(life) is int
            and len(digest) == DIGEST_LENGTH
            and digest.isascii()  # it is compared as such
            and issued_at >= 0
            and 0 < life <= _YEAR
            and ("end" not in fields or _is_ended(fields))
        )
        if not is_right:
            raise InvalidRecord(_NONE_OF_OURS)
        # In their order: by name it takes twice as long, on every request.
        return cls(
            fields["h"],
            digest,
            appid,
            openid,
            fields.get("unionid"),
            device,
            user_id,
            issued_at,
            life * 1000,
            "slide" in fields,
            sealed,
            _ending(fields) if "end" in fields else None,
            marks,
        )

    def replaced(self, digest: str) -> bool:
        """Whether the session of `digest` gave way to this one, or to one just before it.

        48 bits do: whoever has them right by chance learns that somebody logged in.
        As many are compared however many there are: the time tells nobody.
        """
        marks = self.marks.encode().ljust(_MARKS * _MARK_LENGTH)
        mark = digest[:_MARK_LENGTH].encode()
        return any(
            hmac.compare_digest(marks[at : at + _MARK_LENGTH], mark)
            for at in range(0, len(marks), _MARK_LENGTH)
        )

    def session(self, *, expires_in: int) -> Session:
        """The session as the rest of the service knows it."""
        # In the order of Session's: by name it takes twice as long, on every request.
        return Session(
            self.handle,
            self.appid,
            self.openid,
            self.unionid,
            self.device,
            self.user_id,
            self.issued_at,
            expires_in,
            self.sealed,
            self.digest,
        )


def _is_ended(fields: dict[str, Any]) -> bool:
    reason = fields["end"]  # hashed only once it is known to be text
    return (
        type(reason) is str
        and reason in _ENDINGS
        and type(fields.get("endAt")) is int
        and type(fields.get("until", 0)) is int
    )


def _ending(fields: dict[str, Any]) -> Ending:
    return Ending(fields["end"], fields["endAt"] // 1000, fields.get("until"))


def write(
    session_id: SessionId,
    identity: WeChatIdentity,
    *,
    keys: SessionKeys | None = None,
    appid: str,
    device: str,
    user_id: str,
    issued_at: int,
    lifetime: Lifetime,
    keyring: Keyring,
) -> bytes:
    """The record of a new session. `issued_at`: milliseconds since the epoch.

    `keys`: where there are more than the login's own.
    """
    fields: dict[str, Any] = {
        "h": session_id.handle,
        "d": session_id.digest,
        "app": appid,
        "openid": identity.openid,
        "uid": user_id,
        "iat": issued_at,
        "life": lifetime.max_age_ms // 1000,
        "k": seal(session_id, keys or SessionKeys(identity.session_key), keyring),
    }
    if identity.unionid:
        fields["unionid"] = identity.unionid
    if device != USUAL_DEVICE:
        fields["dev"] = device
    if lifetime.sliding:
        fields["slide"] = True
    return orjson.dumps(fields)


def seal(session_id: SessionId, keys: SessionKeys, keyring: Keyring) -> str:
    """Seal what only this service may read, bound to the session's handle."""
    secret = base64url.decode(session_id.secret)
    mark = _WITH_FORMER if keys.former else ""
    plain = secret + b"".join(key for key in keys.all if key)
    return mark + keyring.seal(plain, owner=session_id.handle + mark)


def place_of_key(sealed: str, keyring: Keyring) -> int | None:
    """Which key of the ring sealed a session, as Keyring.place_of has it."""
    return keyring.place_of(sealed.removeprefix(_WITH_FORMER))


def unseal(sealed: str, handle: str, keyring: Keyring) -> tuple[SessionId, SessionKeys] | None:
    """Open the sealed part of `handle`'s session; None when its key has left the ring."""
    mark = sealed[:1] if sealed.startswith(_WITH_FORMER) else ""
    plain = keyring.open(sealed[len(mark) :], owner=handle + mark)
    if plain is None:
        return None
    secret, keys = plain[:SECRET_BYTES], plain[SECRET_BYTES:]
    former = keys[-SESSION_KEY_BYTES:] if mark else b""
    keys = keys.removesuffix(former)
    current, previous = keys[:SESSION_KEY_BYTES], keys[SESSION_KEY_BYTES:]
    return (
        SessionId(handle, base64url.encode(secret)),
        SessionKeys(current, previous or None, former or None),
    )

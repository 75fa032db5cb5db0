"""The values that pass between the use cases, the stores and WeChat.

Fields that must never be printed are left out of `repr`, so that no log line
or traceback can carry them by accident. What every login makes is not frozen, as
that takes three times as long to make; nobody changes it all the same.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from service.core import base64url

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_AVATAR: Final = "default-avatar.png"
"""What everybody has until they upload a picture."""
SESSION_KEY_BYTES: Final = 16
SECRET_BYTES: Final = 32
_HANDLE_LENGTH: Final = 22
DIGEST_LENGTH: Final = 22
LONGEST_REASON: Final = 200
"""Characters of why an operator bans a user."""
_SHORT_NUMBER: Final = 8
_SESSION_ID = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})", re.ASCII)


class ComponentStatus(NamedTuple):
    """What a probe is told of something that the service leans on; no secret."""

    component: str
    state: Literal["ready", "degraded", "down"]
    reason: str
    """Nothing where it is ready."""


class SchemaVersions(NamedTuple):
    """Which version the tables of the database have, and which one the code was written for."""

    found: str | None
    """None where there are no tables, or where nobody could tell yet."""
    expected: str


def handle_of(appid: str, openid: str, device: str) -> str:
    """The public half of a session id: one per user, mini-program and device class.

    22 base64url characters of SHA-256, 132 bits. It is no secret: it only finds
    the record. The NUL keeps ("ab", "c") and ("a", "bc") apart.
    """
    digest = hashlib.sha256(f"{appid}\0{openid}\0{device}".encode()).digest()
    return base64url.encode(digest)[:_HANDLE_LENGTH]


def counted_as(appid: str, openid: str) -> str:
    """What limits count a user by: not the account, which they may delete and make anew."""
    return f"{appid}\0{openid}"


class SessionId(NamedTuple):
    """What the client holds: `<handle>.<secret>`, 66 characters.

    One is made per request, and a tuple takes a third of a frozen dataclass's time.
    """

    handle: str
    secret: str

    def __repr__(self) -> str:
        return f"SessionId(handle={self.handle!r})"

    @classmethod
    def parse(cls, text: str) -> SessionId | None:
        """Read a client's header; None for anything this service cannot have issued."""
        match = _SESSION_ID.fullmatch(text)
        return cls._make(match.groups()) if match else None

    @classmethod
    def new(cls, handle: str) -> SessionId:
        """Make an id with 256 fresh random bits."""
        return cls(handle, secrets.token_urlsafe(SECRET_BYTES))

    @property
    def text(self) -> str:
        """The form that goes to the client."""
        return f"{self.handle}.{self.secret}"

    @property
    def digest(self) -> str:
        """What a store may keep of the secret: 132 bits of its SHA-256.

        The secret is 256 random bits, so a plain hash cannot be searched, and
        half of it loses nothing while it keeps the record small.
        """
        return base64url.encode(hashlib.sha256(self.secret.encode()).digest())[:DIGEST_LENGTH]


@dataclass(frozen=True, slots=True)
class WeChatApp:
    """One mini-program and its AppSecret."""

    appid: str
    secret: str = field(repr=False)
    platform: str = ""
    """Its open-platform account: within one, a person has one unionid."""


@dataclass(slots=True)
class WeChatIdentity:
    """Who a login code stood for, as WeChat says."""

    openid: str
    session_key: bytes = field(repr=False)
    """16 bytes: WeChat sends them as 24 characters of base64."""
    unionid: str | None = None


@dataclass(slots=True)
class SessionKeys:
    """WeChat's key for the user's encrypted data, and those before it.

    A client may have encrypted with one of them just before a login brought the next.
    `previous` is of a login that shares the session, `former` of the session that this
    one has replaced.
    """

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    former: bytes | None = field(default=None, repr=False)

    @property
    def all(self) -> tuple[bytes | None, ...]:
        """In the order in which they are tried: as many whichever there are."""
        return self.current, self.previous, self.former

    def followed_by(self, newer: bytes) -> SessionKeys:
        """The keys after WeChat handed out `newer` to a login that shares the session."""
        return self if newer == self.current else SessionKeys(newer, self.current, self.former)

    def replaced_by(self, newer: bytes) -> SessionKeys:
        """Those of the session that takes this one's place."""
        former = self.previous if newer == self.current else self.current
        return SessionKeys(newer, former=former)


class Session(NamedTuple):
    """A live session: who is calling, and until when.

    A tuple, for the same reason.
    """

    handle: str
    appid: str
    openid: str
    unionid: str | None
    device: str
    user_id: str
    issued_at: int
    """Milliseconds since the epoch, by the clock of Redis."""
    expires_in: int
    """Whole seconds left."""
    sealed: str
    """What only the session store can open."""
    digest: str
    """Of its secret: by this it is told from the user's next one."""

    def __repr__(self) -> str:
        return f"Session(handle={self.handle!r}, user_id={self.user_id!r})"

    @property
    def counted_as(self) -> str:
        """What limits count the user by."""
        return counted_as(self.appid, self.openid)


class SessionView(NamedTuple):
    """One session as an operator may see it: neither its id nor a key."""

    handle: str
    appid: str
    device: str
    issued_at: int
    """Unix milliseconds of the login."""
    expires_in: int
    """Whole seconds left."""
    state: Literal["live", "kicked", "banned"]
    key_lost: bool
    """Whether its key has left SECRET_KEYS: it serves, but opens no encryptedData."""


@dataclass(slots=True)
class OpenedSession:
    """What a login hands out."""

    session_id: SessionId
    expires_in: int
    """Whole seconds."""
    shared: bool = False
    """Whether another login made it, within the coalescing window."""
    replaced: bool = False
    """Whether a live session gave way to it."""
    key_lost: bool = False
    """Whether the key that sealed that one has left SECRET_KEYS."""


class EndedSession(NamedTuple):
    """Whose session has just been ended."""

    user_id: str
    appid: str
    device: str


class SessionsEnded(NamedTuple):
    """That all sessions of a mini-program or a device class, or everybody's, were ended."""

    before: int
    """Unix milliseconds, by the clock of Redis: sessions of logins before it are ended."""
    holds_from: int
    """Unix milliseconds, by the same clock: from then on every worker refuses them."""


@dataclass(slots=True)
class CodeClaim:
    """The right to take one code to WeChat."""

    key: str
    nonce: str
    client: str
    """Digest of what tells the client from others; empty if nothing does."""
    request: str = ""
    """Digest of all that the client asked for, beside the code."""


@dataclass(frozen=True, slots=True)
class PastLogin:
    """The answer that an earlier request with the same code and Idempotency-Key got."""

    handle: str
    digest: str
    expires_in: int
    user_id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone number as `+<country> <number>`, e.g. `+86 13800000001`."""

    number: str = field(repr=False)

    @classmethod
    def of(cls, country: str, number: str) -> Phone:
        """From WeChat's countryCode and purePhoneNumber."""
        return cls(f"+{country} {number}")

    @property
    def masked(self) -> str:
        """What others may see: `138****0001`."""
        local = self.number.partition(" ")[2]
        shown = 4 if len(local) > _SHORT_NUMBER else 2
        return f"{local[:3]}****{local[-shown:]}"


@dataclass(frozen=True, slots=True)
class Ban:
    """That an operator shut a user out. Times are Unix seconds."""

    at: int
    until: int | None = None
    """When it ends by itself; None where only an operator ends it."""
    reason: str = field(default="", repr=False)
    """The operator's own words, for operators alone."""

    @property
    def holds(self) -> bool:
        """Whether it has not ended by itself."""
        return self.until is None or time.time() < self.until


@dataclass(slots=True)
class User:
    """A person's account."""

    id: str
    nickname: str
    avatar: str
    """The picture's name in the avatar store, or DEFAULT_AVATAR."""
    phone: Phone | None
    ban: Ban | None
    """The last one, until an operator takes it back; whether it still holds, `banned` says."""
    created_at: int
    """Unix seconds, as is `updated_at`."""
    updated_at: int

    @property
    def banned(self) -> bool:
        """Whether the user is kept out now."""
        return self.ban is not None and self.ban.holds


SearchField: TypeAlias = Literal["id", "openid", "unionid", "phone", "nickname"]
"""What operators look for users by."""


class UserPage(NamedTuple):
    """Some of the users that were found."""

    users: Sequence[User]
    next: str
    """What `after` has to be for more; "" where there are none."""


@dataclass(slots=True)
class UserMatch:
    """The user of an identity, and whether they were made for it just now."""

    user: User
    is_new: bool
    unionid: str | None = None
    """The identity's: WeChat leaves it out at times, and does not say why."""
    has_joined: bool = False
    """Whether the identity, unknown before, was given to the owner of a phone number."""
    has_new_phone: bool = False
    """Whether the user had another number before, or none."""


@dataclass(slots=True)
class UserIdentity:
    """One of the names that WeChat has for a user."""

    appid: str
    openid: str
    unionid: str | None


@dataclass(frozen=True, slots=True)
class NewAvatar:
    """A user with a new picture, and the name of the one before it."""

    user: User
    former: str


@dataclass(frozen=True, slots=True)
class DeletedUser:
    """A user who was deleted, as they were."""

    user: User
    identities: Sequence[UserIdentity]


@dataclass(frozen=True, slots=True)
class UserExport:
    """All that is kept of a user who asks for it."""

    user: User
    identities: Sequence[UserIdentity]
    session: Session


@dataclass(slots=True)
class LoggedIn:
    """The answer to a login."""

    session_id: SessionId
    expires_in: int
    """Whole seconds."""
    user: User
    is_new: bool
    identity: UserIdentity | None = None
    """Whom WeChat named; None where an earlier answer is repeated."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A pair of `encryptedData` and `iv`, as WeChat gave it to the client."""

    data: str = field(repr=False)
    iv: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """WeChat's access_token, as it was a moment ago."""

    value: str = field(repr=False)
    version: str
    """Which fetch it came from: WeChat may give the same value to several."""
    expires_in: int
    """Whole seconds."""
    fresh: bool
    """Whether asking WeChat again would bring the same one."""

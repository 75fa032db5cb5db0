"""What the use cases need from the outside, and how each need may fail.

Adapters do not import these; wiring hands adapters over under these types,
so that mypy holds the two against each other. Expected outcomes are return
values or the errors named with the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from service.core.errors import ServiceError, SessionStoreUnavailable
    from service.core.models import (
        AccessToken,
        CodeClaim,
        ComponentStatus,
        DeletedUser,
        Encrypted,
        EndedSession,
        LoggedIn,
        NewAvatar,
        OpenedSession,
        PastLogin,
        Phone,
        SchemaVersions,
        SearchField,
        Session,
        SessionId,
        SessionKeys,
        SessionsEnded,
        SessionView,
        User,
        UserIdentity,
        UserMatch,
        UserPage,
        WeChatApp,
        WeChatIdentity,
    )


Glance: TypeAlias = "Session | SessionStoreUnavailable | None"
"""What a look at a session shows; None where only `SessionStore.validate` can say."""

UserMark: TypeAlias = Literal["deleted", "banned"]


class SessionStore(Protocol):
    """One session per user, mini-program and device class.

    Every method raises SessionStoreUnavailable when the store does not answer;
    a change that raised it has not happened and will not happen later, unless
    only its confirmation was lost.
    """

    async def create(
        self, identity: WeChatIdentity, *, appid: str, device: str, user_id: str
    ) -> OpenedSession:
        """Log in. From the return on, exactly this session of the user is live.

        Logins of one user within the coalescing window get the same session;
        its session_key is the newest, the one before it is kept beside it. A session that
        replaces another one keeps that one's key for an hour.
        """
        ...

    async def validate(self, session_id: SessionId) -> Session:
        """The live session; raises SessionReplaced, -Expired, -Kicked or UserBanned.

        What is none of this service's, in its place, is a SessionStoreUnavailable.
        """
        ...

    def glance(self, session_id: SessionId, tell: Callable[[Glance], None]) -> bool:
        """Look without a task: `tell` is called with the session if it simply lives.

        That is later, unless it is known at once that the store cannot be asked. Returns
        False, and tells nothing, where it cannot look.
        """
        ...

    async def revalidate(self, session: Session) -> None:
        """Raise what `validate` would by now: a newer login may have come, say."""
        ...

    async def revoke(self, session_id: SessionId) -> EndedSession | None:
        """Log out this very session, never a newer one; None when it was not live."""
        ...

    async def revoke_digest(self, handle: str, digest: str) -> EndedSession | None:
        """The same by `Session.handle` and `Session.digest`."""
        ...

    async def terminate(
        self, handle: str, reason: Literal["kicked", "banned"], *, until: int | None = None
    ) -> bool:
        """End whatever lives under `handle` and tell its holder why; False when nothing did.

        `until`, Unix seconds: from then on the holder of a banned session is told that it
        has expired. A ban is also told where a kick or another ban ended the session before.
        """
        ...

    async def lift_ban(self, handle: str) -> None:
        """Forget that a ban ended the session under `handle`: it has expired from now on."""
        ...

    async def view(self, handles: Sequence[str]) -> Sequence[SessionView]:
        """What lives or was ended under each handle that has a record, at one look."""
        ...

    async def delete(self, handle: str) -> None:
        """Delete whatever is kept under `handle`, without a trace."""
        ...

    async def mark_user(self, user_id: str, mark: UserMark) -> None:
        """Note that a user is being deleted or was banned, for logins that are under way."""
        ...

    async def user_mark(self, user_id: str) -> UserMark | None:
        """What was noted of the user a moment ago, the last of it."""
        ...

    async def restore_id(self, handle: str, digest: str) -> SessionId | None:
        """The id of a live session by its digest, for a login whose answer is repeated.

        None when it does not live any more.
        """
        ...

    async def login_age(self, session: Session) -> float:
        """Seconds since the login, by the store's clock, however often it was renewed since."""
        ...

    async def keys(self, session: Session) -> SessionKeys | None:
        """WeChat's keys of a session; None when they cannot be opened any more."""
        ...

    async def keys_before(self, appid: str, openid: str, device: str) -> SessionKeys | None:
        """Those of the session that a login is about to replace; None if there is none."""
        ...

    async def ping(self) -> str | None:
        """None where all of the store is well; else what ails it, in a word for anybody.

        Raises SessionStoreUnavailable, with that word, where no part of it can serve.
        """
        ...


class SessionMarks(Protocol):
    """Ends sessions without looking for them."""

    async def end(self, appid: str, device: str, before: int | None) -> SessionsEnded:
        """End all sessions of a mini-program and a device class, "" for all of them.

        Of logins before a Unix time in milliseconds by the store's clock; None is now. Raises
        InvalidRequest for a time in the future, SessionStoreUnavailable.
        """
        ...


class ComponentCheck(Protocol):
    """Looks whether something that the service leans on can do its work."""

    async def status(self) -> ComponentStatus:
        """How it is, within a second; never raises."""
        ...


class DatabaseCheck(ComponentCheck, Protocol):
    """The same of the user database, which has tables of a version."""

    @property
    def schema(self) -> SchemaVersions:
        """Theirs as `status` has last found it; does not ask."""
        ...


class UserRecords(Protocol):
    """Users as use cases see them that change a record by OwnRecord alone.

    Every method raises UserStoreUnavailable.
    """

    async def get(self, user_id: str) -> User | None:
        """The user; None when there is none."""
        ...

    async def identities(self, user_id: str) -> Sequence[UserIdentity]:
        """All that WeChat calls this user."""
        ...

    async def delete(self, user_id: str) -> DeletedUser | None:
        """Remove the user and all that belongs to them; None when there was none."""
        ...


class UserStore(UserRecords, Protocol):
    """The users and what WeChat calls them. Every method raises UserStoreUnavailable."""

    async def find_or_create(self, appid: str, identity: WeChatIdentity) -> UserMatch:
        """The user of this openid, else of its unionid, else a new one; without a race."""
        ...

    async def find_or_create_with_phone(
        self, appid: str, identity: WeChatIdentity, phone: Phone
    ) -> UserMatch:
        """The same with a phone number, proven by a code, as a third way; raises PhoneTaken.

        The number goes to the user of the identity, also from a user who has not proven
        it. An unknown identity joins the user who has, unless that is known to be
        somebody else: by another openid here, or another unionid of the same platform.
        """
        ...

    async def find(
        self, field: SearchField, value: str, *, limit: int, after: str = ""
    ) -> UserPage:
        """Users by one field, by nickname and id: by how a nickname begins, the rest exactly.

        A phone number is one of Phone's. `after`: the `next` of the page before; raises
        InvalidRequest for what is none.
        """
        ...

    async def ban(self, user_id: str, *, reason: str, until: int | None) -> User | None:
        """Ban the user, until a Unix time if given, whatever ban there was; None without one."""
        ...

    async def unban(self, user_id: str) -> User | None:
        """Take back the ban, if there is one; None when there is no such user."""
        ...

    async def set_nickname(self, user_id: str, nickname: str) -> User | None:
        """Change the name; None when there is no such user."""
        ...

    async def set_avatar(self, user_id: str, avatar: str) -> NewAvatar | None:
        """Change the picture's name; None when there is no such user."""
        ...

    async def bind_phone(
        self, user_id: str, phone: Phone, *, proven: bool, may_change: bool
    ) -> User | None:
        """Give the user this number; None when there is no such user. Raises PhoneTaken.

        `proven`: a code says so, which beats a user who has bound the number without.
        `may_change`: instead of any other; without it, raises LoginTooOld if there is one.
        """
        ...

    async def existing(self, user_ids: Collection[str]) -> set[str]:
        """Those of these users who are there; 500 at most."""
        ...


class AvatarStore(Protocol):
    """Pictures by name. Every method raises UserStoreUnavailable."""

    async def put(self, name: str, picture: bytes) -> None:
        """Keep a picture."""
        ...

    async def get(self, name: str) -> bytes | None:
        """The picture; None when there is none."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a picture, if it is there."""
        ...


class PictureDecoder(Protocol):
    """Makes avatars of what users upload, apart from the process that serves."""

    async def decode(self, upload: bytes) -> bytes:
        """A JPEG, small and upright, with nothing of the upload but its pixels.

        Raises InvalidRequest for what is no picture, or takes too much to decode;
        PicturesBusy where too many wait, for two seconds at most, or the machine
        does not let it be done in time. Who is cancelled has it ended.
        """
        ...

    def stop(self) -> None:
        """End what is being decoded and refuse the rest, with PicturesBusy: the worker stops."""
        ...


class LoginCodes(Protocol):
    """Lets each login code go to WeChat once."""

    async def claim(
        self, appid: str, code: str, *, idempotency_key: str | None, request: str = ""
    ) -> CodeClaim | PastLogin:
        """Win the code, or learn what the same client was answered before.

        `request` stands for all that the client asks for. Raises LoginCodeUsed
        when another request has or had the code, LoginCodeInvalid when WeChat
        has just said that it knows none, the error that the same client was
        answered, IdempotencyKeyReused, SessionStoreUnavailable.
        """
        ...

    async def claim_key(self, claim: CodeClaim, appid: str, openid: str) -> None:
        """Let a user's Idempotency-Key stand for this request, as long as it is answered again.

        Raises IdempotencyKeyReused when it stands for another one of theirs,
        SessionStoreUnavailable.
        """
        ...

    async def succeed(self, claim: CodeClaim, answer: LoggedIn) -> None:
        """Remember the answer for a minute. Never raises: the login stands."""
        ...

    async def fail(self, claim: CodeClaim, error: ServiceError) -> None:
        """Remember the refusal for a minute. Never raises.

        LoginCodeInvalid is remembered for half of that, and for everybody.
        """
        ...

    async def release(self, claim: CodeClaim) -> None:
        """Give back a code that WeChat has not seen. Never raises."""
        ...


class PhoneCodes(Protocol):
    """Lets each phone code go to WeChat once, and remembers the number."""

    async def claim(self, appid: str, code: str, *, openid: str) -> CodeClaim | Phone:
        """Win the code, or get the number that it brought the same user before.

        Raises PhoneCodeInvalid for a code that is another user's, SessionStoreUnavailable.
        """
        ...

    async def succeed(self, claim: CodeClaim, phone: Phone) -> None:
        """Remember the number while the code would have lived. Never raises."""
        ...

    async def release(self, claim: CodeClaim) -> None:
        """Give back a code that brought no number. Never raises."""
        ...

    async def forget(self, appid: str, openid: str) -> None:
        """Forget the number that a user's code brought."""
        ...


class UsedData(Protocol):
    """Lets a user change something with each encryptedData once, whatever its iv."""

    def use(self, user: str, encrypted: Encrypted) -> AbstractAsyncContextManager[bool]:
        """Whether this is the first use, which is made in the block; if that raises, none was.

        `user` as limits count them: who deletes their account has used it all the same.
        Waits a moment for a use that is under way. Raises SessionStoreUnavailable
        before the block.
        """
        ...


class WeChat(Protocol):
    """WeChat's server API.

    Every method raises WeChatRateLimited, WeChatMisconfigured,
    WeChatUnavailable or WeChatBusy; those that need the access_token also
    SessionStoreUnavailable, where it is shared. A `client`, an address or an openid,
    has a share of the calls under way; over that is RateLimited. An error
    says by `sent` whether WeChat has seen the code.
    """

    async def code2session(
        self, app: WeChatApp, js_code: str, *, client: str | None = None
    ) -> WeChatIdentity:
        """Exchange a code; raises LoginCodeInvalid, LoginCodeUsed, WeChatUserBlocked."""
        ...

    async def phone_number(
        self, app: WeChatApp, code: str, *, openid: str | None, client: str | None = None
    ) -> Phone:
        """Redeem a phone code, of `openid` if given; raises PhoneCodeInvalid."""
        ...

    async def session_key_lives(self, app: WeChatApp, openid: str, session_key: bytes) -> bool:
        """Whether WeChat still honours this session_key."""
        ...

    async def nickname_passes(self, app: WeChatApp, openid: str, nickname: str) -> bool:
        """Whether WeChat's content check lets a nickname pass."""
        ...


class AccessTokenStore(Protocol):
    """Keeps each mini-program's access_token for all workers.

    Every method raises SessionStoreUnavailable.
    """

    async def get(self, appid: str) -> AccessToken | None:
        """The token; None when there is none that is good."""
        ...

    async def put(
        self, appid: str, value: str, *, expires_in: int, fresh_for: float
    ) -> AccessToken:
        """Keep a token that WeChat has just given; both are seconds."""
        ...

    async def discard(self, appid: str, token: AccessToken) -> None:
        """Forget this very token, never one that was put since."""
        ...

    async def discard_value(self, appid: str, value: str) -> bool:
        """The same for whoever has nothing but the token itself; returns whether it was kept."""
        ...

    async def lock(self, appid: str, *, seconds: float) -> str | None:
        """Win the right to fetch, for so long at most; None when another worker has it."""
        ...

    async def unlock(self, appid: str, lock: str) -> None:
        """Give the right back, unless it has passed on to another worker."""
        ...


LimitName: TypeAlias = Literal[
    "login_per_address",
    "login_per_app",
    "login",
    "dead_sessions_per_address",
    "operator_token_per_address",
    "phone_codes_per_user",
    "phone_codes_per_app",
    "uploads_per_user",
    "nicknames_per_user",
    "decrypt_per_user",
    "failed_decrypt_per_session",
    "failed_decrypt_per_user",
]
"""What is limited, and by what it is counted; the name that `data.limit` gives to a client.

Besides, FairShare has a limit of its own: it is of a worker, and of calls under way.
"""


class Limits(Protocol):
    """How often something may be done within a time, counted for all workers together.

    How often and how long is the operator's to set. Methods that take `who` want
    an appid, a user id, a session's handle or an address; "" where all are counted
    as one. Limits of hundreds are kept within a hundredth, smaller ones exactly.
    Every method raises SessionStoreUnavailable.
    """

    async def count(
        self, limit: LimitName, who: str, *, cost: int = 1, doubtful: bool = False
    ) -> None:
        """Count a use, or raise RateLimited where the limit does not allow it; then none is.

        Doubtful uses have half of what the limit allows, between them.
        """
        ...

    async def count_all(self, uses: Mapping[LimitName, str], *, doubtful: bool = False) -> None:
        """Count one use of each limit, by whom; where one does not allow it, none of any."""
        ...

    async def add(self, limit: LimitName, who: str, *, cost: int = 0, doubtful: int = 0) -> None:
        """Count what has happened already, over the limit too; what is negative is given back.

        `doubtful`: how many uses, of these or of former ones, turn out to be so.
        """
        ...


class AccessTokens(Protocol):
    """access_tokens for the operator's other back ends."""

    async def get(self, app: WeChatApp) -> AccessToken:
        """A token that is good now; raises what WeChat and the store raise."""
        ...

    async def discard_value(self, app: WeChatApp, value: str) -> bool:
        """Forget the token that is kept if it is this one; returns whether it was.

        Never one that was fetched since. Raises SessionStoreUnavailable.
        """
        ...

"""Every setting: its variable, its unit, its default. Nothing else reads the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import orjson
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from service import tracing
from service.config.limits import LimitSetting  # noqa: TC001 # pydantic reads it
from service.config.randomness import looks_random
from service.config.redis_url import CLUSTER_SCHEMES, SENTINEL_SCHEMES, RedisAddress
from service.config.variables import FILE, read_variables
from service.core.models import WeChatApp
from service.core.ports import LimitName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.config.limits import Limit

WECHAT_HOSTS: Final = ("https://api.weixin.qq.com", "https://api2.weixin.qq.com")
PRIVATE_NETWORKS: Final = (
    "127.0.0.0/8",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
)
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://", *CLUSTER_SCHEMES, *SENTINEL_SCHEMES)
_DATABASE_ADDRESS: Final = re.compile(r"(postgres|postgresql|sqlite)(\+\w+)?://", re.ASCII)
_AVATAR_ADDRESS: Final = re.compile(r"(file://|s3://[^/]).")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-][A-Za-z0-9_.:-]{0,30}:", re.ASCII)
_SECRET_KEY_LENGTH: Final = 32
_ADMIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_OF_A_DEPLOYMENT: Final = ("REDIS_URL", "DATABASE_URL", "WECHAT_APPID")
_UNVERIFIED_REDIS: Final = (
    "REDIS_TLS_VERIFY is none: whoever is between this service and Redis can read and change"
    " sessions. If you can have the certificate of its authority, name that by ?ssl_ca_certs= in"
    " REDIS_URL instead"
)
_FOLDER_OF_AVATARS: Final = (
    "AVATAR_STORE is a folder of this machine: users see the pictures of another instance as"
    " missing, and a disk that does not outlive a restart loses them all. Unless there is one"
    " machine, with a disk that stays, set AVATAR_STORE=s3://<bucket>/<prefix>"
)
_RANDOM: Final = (
    "must be random: not one character, word or sequence over and over. Make one with"
    " python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)


def _number(value: object) -> object:
    # What is no number is left to the type to refuse: its error does not show the value.
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _limit(default: str, description: str) -> Any:
    return Field(default, description=description, validate_default=True)


def _check_token(token: str) -> None:
    """Raise ValueError for a token that somebody could guess."""
    if len(token) < _SECRET_KEY_LENGTH:
        raise ValueError(f"needs {_SECRET_KEY_LENGTH} characters or more")
    if not looks_random(token):
        raise ValueError(_RANDOM)


class ConfigError(Exception):
    """The settings cannot be used; the text names every fault and no value."""


class AppEntry(BaseModel):
    """One mini-program in WECHAT_APPS."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    appid: str = Field(min_length=1)
    secret: SecretStr = Field(min_length=1)
    platform: str = ""
    """Name of the open-platform account that binds it; the unnamed ones share one."""


class AdminToken(BaseModel):
    """One entry of ADMIN_TOKENS."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    name: str
    """Who acts with it: it stands in every event."""
    secret: SecretStr


class Settings(BaseModel):
    """The service's settings, checked as a whole and frozen.

    Names are those of the environment variables in lower case. A value in the
    environment wins over the same name in a `.env` file; in either place
    `<NAME>_FILE` may name a file that has the value (`load_settings` reads it).
    White space around a value is no part of it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses stand-ins and demands every secret"
    )
    dyno: str = Field("", description="set by Heroku; anything in it means production")

    host: str | None = Field(
        None, description="address to listen on; unset: 127.0.0.1, in production 0.0.0.0"
    )
    port: int = Field(8000, ge=1, le=65535, description="port to listen on")
    web_concurrency: int = Field(1, ge=1, le=64, description="worker processes")
    drain_seconds: int = Field(
        0, ge=0, le=120, description="seconds to serve on, unready, when told to stop"
    )

    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("redis_tls_url", "redis_url"),
        description="one server, a cluster or sentinels; REDIS_TLS_URL goes first",
    )
    redis_tls_verify: Literal["required", "none"] = Field(
        "required", description="none accepts the self-signed certificates of hosted Redis"
    )
    redis_sentinel_username: str | None = Field(
        None, description="of the sentinels in REDIS_URL, which have users of their own"
    )
    redis_sentinel_password: SecretStr | None = Field(
        None, description="of the sentinels; that of the servers stands in REDIS_URL"
    )
    redis_prefix: str = Field(
        "minigate:",
        description="what all keys begin with; another one for each service on one Redis",
    )
    redis_max_connections: int = Field(16, ge=3, le=1000, description="per worker and primary")
    redis_timeout_ms: int = Field(400, ge=20, le=5000, description="per attempt; reads have two")

    database_url: SecretStr | None = Field(
        None, description="postgresql://, postgres:// or sqlite:///, in any usual spelling"
    )
    database_connections: int = Field(5, ge=1, le=200, description="per worker")
    avatar_store: str = Field(
        "file://var/uploads", description="file://<folder> or s3://<bucket>/<prefix>"
    )
    avatar_max_bytes: int = Field(
        2 * 1024 * 1024, ge=1024, le=20 * 1024 * 1024, description="largest upload of a picture"
    )

    wechat_appid: str | None = Field(None, description="the mini-program's appid")
    wechat_secret: SecretStr | None = Field(None, description="its AppSecret")
    wechat_apps: tuple[AppEntry, ...] = Field(
        (), description='several mini-programs, as JSON: [{"appid": "wx..", "secret": ".."}]'
    )
    wechat_api_base: tuple[str, ...] = Field(
        WECHAT_HOSTS, description="WeChat's hosts in order of preference, comma-separated"
    )
    wechat_timeout_ms: int = Field(3000, ge=100, le=4000, description="one exchange, all in all")
    wechat_concurrency: int = Field(
        128, ge=1, le=10000, description="calls under way per worker; more wait, then get 503"
    )
    phone_send_openid: bool = Field(
        True, description="have WeChat check that a phone code is of the user who brings it"
    )
    phone_from_encrypted_data: Literal["bind", "join"] = Field(
        "bind", description="join takes a number of encryptedData for as good as that of a code"
    )
    check_nicknames: bool = Field(False, description="have WeChat check nicknames (msg_sec_check)")
    probe_session_keys: bool = Field(
        False, description="ask WeChat (checksession) before telling a client to log in again"
    )
    encrypted_data_max_age: int = Field(
        7200, ge=1, le=30 * 86400, description="seconds that encryptedData may be old"
    )
    simulator_port: int = Field(8001, ge=1, le=65535, description="the WeChat stand-in's port")

    secret_keys: tuple[SecretStr, ...] = Field(
        (), description="comma-separated, 32 characters or more each; the first seals, all open"
    )

    internal_token: SecretStr | None = Field(
        None, description="opens /internal/access-token to your other back ends; 32 characters"
    )

    admin_tokens: tuple[AdminToken, ...] = Field(
        (), description="name:secret, comma-separated: who may use /admin; unset: nobody"
    )
    metrics_token: SecretStr | None = Field(
        None, description="opens /metrics beyond this machine, as a Bearer token; 32 characters"
    )

    proxies_count: int = Field(
        0, ge=0, le=16, description="proxies of yours before it; each adds to X-Forwarded-For"
    )
    trusted_proxies: tuple[str, ...] = Field(
        PRIVATE_NETWORKS, description="networks that these proxies are in, comma-separated"
    )
    limit_login_per_address: LimitSetting = _limit(
        "600/minute", "logins; one that fails by what was sent counts as ten"
    )
    limit_login_per_app: LimitSetting = _limit(
        "30000/minute", "login codes brought to WeChat for a mini-program"
    )
    limit_login: LimitSetting = _limit("60000/minute", "login codes brought to WeChat in all")
    limit_dead_sessions_per_address: LimitSetting = _limit(
        "3000/minute", "ids of no session; live ones are always served"
    )
    limit_operator_token_per_address: LimitSetting = _limit(
        "10/minute", "wrong tokens; the right one is always served"
    )
    limit_phone_codes_per_user: LimitSetting = _limit(
        "10/day", "phone codes that are brought to WeChat"
    )
    limit_phone_codes_per_app: LimitSetting = _limit(
        "10000/day", "the same for all users of a mini-program: WeChat charges for each"
    )
    limit_uploads_per_user: LimitSetting = _limit("30/hour", "pictures")
    limit_nicknames_per_user: LimitSetting = _limit("30/hour", "changes of the nickname")
    limit_decrypt_per_user: LimitSetting = _limit("600/hour", "encryptedData")
    limit_failed_decrypt_per_session: LimitSetting = _limit(
        "30/hour", "encryptedData that does not open"
    )
    limit_failed_decrypt_per_user: LimitSetting = _limit(
        "30/hour", "the same for all sessions of a user"
    )

    session_ttl: int = Field(7200, ge=1, le=30 * 86400, description="seconds a session lives")
    session_renewal: Literal["fixed", "sliding"] = Field(
        "fixed", description="fixed ends SESSION_TTL after login; sliding starts anew with use"
    )
    session_max_age: int = Field(
        7 * 86400, ge=1, le=365 * 86400, description="seconds no sliding session outlives"
    )
    sessions_since: int = Field(
        0, ge=0, description="Unix time; sessions of earlier logins have ended"
    )
    session_confirm_replicas: int = Field(
        0,
        ge=0,
        le=16,
        description="replicas that must have a login, logout or kick before it counts",
    )
    login_coalesce_ms: int = Field(
        3000, ge=0, le=60000, description="logins of one user this close share a session; 0: never"
    )
    device_classes: tuple[str, ...] = Field(
        ("default",), description="one session per user and class; the first one is the default"
    )

    auth_error_status: Annotated[Literal[401, 200], BeforeValidator(_number)] = Field(
        401, description="200 for old clients that read bodies only; /verify always says 401"
    )
    wafer_compat: bool = Field(
        False, description="serve mini-programs on wafer2-client-sdk: /weapp/login, X-WX-Skey"
    )
    events_kept: int = Field(
        10_000, ge=0, le=1_000_000, description="events of sessions kept in Redis; 0: none"
    )
    events_address: Literal["network", "full", "none"] = Field(
        "network", description="what an event says of the client's address; network: /24, /56"
    )
    tracing: bool = Field(
        False, description="send spans by OpenTelemetry, which is told where by OTEL_*"
    )
    log_format: Literal["json", "text"] | None = Field(
        None, description="unset: text at a terminal and in development, json in production"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="what is logged at the least"
    )
    access_log: bool = Field(False, description="a log line per request; costs throughput")

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: dict[str, object]) -> dict[str, object]:
        stripped = {
            name: value.strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator(
        "wechat_api_base", "secret_keys", "device_classes", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("secret_keys")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < _SECRET_KEY_LENGTH for key in value):
            raise ValueError(f"each key needs {_SECRET_KEY_LENGTH} characters or more")
        # The others only open what they have sealed: to replace a weak one, it must be among them.
        if value and not looks_random(value[0].get_secret_value()):
            raise ValueError(f"the first key {_RANDOM}, and leave this one behind it")
        return value

    @field_validator("device_classes")
    @classmethod
    def _plain_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(name.isascii() and name.isidentifier() for name in value):
            raise ValueError("give one or more plain names, comma-separated")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in value:
                ipaddress.ip_network(network)
        except ValueError:
            raise ValueError("give networks as in 10.0.0.0/8, comma-separated") from None
        return value

    @field_validator("wechat_apps", mode="before")
    @classmethod
    def _json_list(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                raise ValueError('not JSON; write [{"appid": "wx..", "secret": ".."}]') from None
        return value

    @field_validator("admin_tokens", mode="before")
    @classmethod
    def _name_and_secret(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(
            {"name": name.strip(), "secret": secret.strip()}
            for name, _, secret in (part.partition(":") for part in parts)
        )

    @field_validator("admin_tokens")
    @classmethod
    def _named_once(cls, value: tuple[AdminToken, ...]) -> tuple[AdminToken, ...]:
        names = [token.name for token in value]
        if not all(_ADMIN_NAME.fullmatch(name) for name in names) or len({*names}) < len(names):
            raise ValueError(
                "write name:secret, comma-separated, each name once: up to 32 letters, digits, _, -"
            )
        for token in value:
            _check_token(token.secret.get_secret_value())
        if len({token.secret.get_secret_value() for token in value}) < len(value):
            raise ValueError("a secret appears twice: it would not tell who acts")
        return value

    @field_validator("wechat_apps")
    @classmethod
    def _each_once(cls, value: tuple[AppEntry, ...]) -> tuple[AppEntry, ...]:
        if len({entry.appid for entry in value}) < len(value):
            raise ValueError("an appid appears twice")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(_REDIS_SCHEMES):
            raise ValueError(f"must begin with one of {' '.join(_REDIS_SCHEMES)}")
        if value:
            RedisAddress.parse(value.get_secret_value())  # says what is wrong
        return value

    @field_validator("redis_prefix", mode="before")
    @classmethod
    def _key_prefix(cls, value: object) -> object:
        # In braces it would put all keys of a cluster on one server; the rest is safe in an ACL.
        if isinstance(value, str) and not _PREFIX.fullmatch(value):
            raise ValueError("must be 2 to 32 letters, digits and _ . - : and end with a colon")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value() if value else ""
        if value and not _DATABASE_ADDRESS.match(address):
            raise ValueError("must begin with postgresql://, postgres:// or sqlite:///")
        if value:
            # The import takes 0.15 s; whoever sets an address needs it soon in any case.
            from service.config.database_url import driver_url  # noqa: PLC0415

            driver_url(address)  # says what is wrong
        return value

    @field_validator("avatar_store")
    @classmethod
    def _store_address(cls, value: str) -> str:
        if not _AVATAR_ADDRESS.match(value):
            raise ValueError("must be file://<folder> or s3://<bucket>/<prefix>")
        return value

    @field_validator("internal_token", "metrics_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            _check_token(value.get_secret_value())
        return value

    @field_validator("wechat_api_base")
    @classmethod
    def _http_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(base.startswith(("https://", "http://")) for base in value):
            raise ValueError("give one or more http(s):// addresses, comma-separated")
        return tuple(base.rstrip("/") for base in value)

    @property
    def production(self) -> bool:
        """Whether stand-ins and development secrets are refused."""
        return self.environment == "production" or bool(self.dyno)

    @property
    def address(self) -> str:
        """Where to listen: for everybody in production, else where HOST says so and nowhere."""
        return self.host or ("0.0.0.0" if self.production else "127.0.0.1")

    @property
    def demo(self) -> bool:
        """Whether the demo routes are there."""
        return not self.production

    @property
    def apps(self) -> dict[str, WeChatApp]:
        """The mini-programs served, by appid."""
        secrets = {entry.appid: entry.secret for entry in self.wechat_apps}
        platforms = {entry.appid: entry.platform for entry in self.wechat_apps}
        if self.wechat_appid is not None and self.wechat_secret is not None:
            secrets[self.wechat_appid] = self.wechat_secret
        return {
            appid: WeChatApp(appid, secret.get_secret_value(), platforms.get(appid, ""))
            for appid, secret in secrets.items()
        }

    @property
    def limits(self) -> dict[LimitName, Limit]:
        """What is limited, and to what; without what is off."""
        names: tuple[LimitName, ...] = get_args(LimitName)
        return {name: limit for name in names if (limit := getattr(self, f"limit_{name}"))}

    @property
    def missing(self) -> tuple[str, ...]:
        """The variables without which the service cannot work."""
        needed = {
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "WECHAT_APPID": self.wechat_appid or self.wechat_apps,
            "WECHAT_SECRET": self.wechat_secret or self.wechat_apps,
            "SECRET_KEYS": self.secret_keys,
        }
        return tuple(name for name, value in needed.items() if not value)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """What is wrong with the settings taken together."""
        found = {
            "SESSION_MAX_AGE: must not be below SESSION_TTL": self.session_renewal == "sliding"
            and self.session_max_age < self.session_ttl,
            "SESSIONS_SINCE: is in the future: nobody could log in until then": self.sessions_since
            > time.time(),
            "WECHAT_APPID, WECHAT_SECRET: set both or none": (self.wechat_appid is None)
            != (self.wechat_secret is None)
            and (not self.production or bool(self.wechat_apps)),
            "SIMULATOR_PORT: must differ from PORT": not self.apps
            and self.port == self.simulator_port,
            "WECHAT_API_BASE: is of no use without WECHAT_APPID": not self.apps
            and self.wechat_api_base != WECHAT_HOSTS,
            "AUTH_ERROR_STATUS: must be 401 with WAFER_COMPAT": self.wafer_compat
            and self.auth_error_status != 401,  # noqa: PLR2004 # what its clients log in again on
            "REDIS_SENTINEL_PASSWORD: is of no use without redis+sentinel:// in REDIS_URL": bool(
                self.redis_sentinel_password
            )
            and not self._redis_address_text.startswith(SENTINEL_SCHEMES),
            "REDIS_SENTINEL_USERNAME: is of no use without REDIS_SENTINEL_PASSWORD": bool(
                self.redis_sentinel_username
            )
            and not self.redis_sentinel_password,
            "TRACING: needs the packages of requirements-tracing.txt": self.tracing
            and not tracing.is_installed(),
            "WECHAT_API_BASE: must be https:// in production": self.production
            and any(base.startswith("http://") for base in self.wechat_api_base),
        }
        return tuple(text for text, wrong in found.items() if wrong)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works, and should not be so where real users are served."""
        tls = self._redis_address_text.startswith("rediss")
        unverified = self.redis_tls_verify == "none" and tls
        found = (
            self._forgotten_environment,
            _UNVERIFIED_REDIS if unverified else "",
            _FOLDER_OF_AVATARS if self._avatars_may_be_elsewhere else "",
        )
        return tuple(text for text in found if text)

    @property
    def _avatars_may_be_elsewhere(self) -> bool:
        """Whether other instances, or this one after a restart, may not have the same folder.

        A database in a file is on one machine with a disk that stays, or it would be lost too.
        """
        database = self.database_url.get_secret_value() if self.database_url else ""
        one_machine = database.startswith("sqlite") and not self.dyno
        return self.production and self.avatar_store.startswith("file://") and not one_machine

    @property
    def _redis_address_text(self) -> str:
        return self.redis_url.get_secret_value() if self.redis_url else ""

    @property
    def _forgotten_environment(self) -> str:
        """Signs that ENVIRONMENT=production was left out; what to do, or nothing."""
        is_open = not _is_loopback(self.address)
        real = [name for name in _OF_A_DEPLOYMENT if name not in self.missing]
        if self.production or not (is_open or len(real) == len(_OF_A_DEPLOYMENT)):
            return ""
        although = f", although {', '.join(real)} are set" if real else ""
        reach = f"whoever reaches {self.address}" if is_open else "this machine alone"
        return (
            f"ENVIRONMENT is development{although}: {reach} is served, with the demo page."
            " For real users set ENVIRONMENT=production"
        )


def hand_on_keys_of_storage() -> None:
    """Put AWS_* and OTEL_* of `.env` into the environment, where the libraries read them."""
    for name, value in _dot_env().items():
        if name.startswith(("aws_", "otel_")) and value:
            os.environ.setdefault(name.upper(), value)


def withdraw_from_environment() -> dict[str, str]:
    """Take every setting out of the environment of the processes that are started from now on.

    Returns what it took, for `reload_settings`. Workers are handed the settings; the
    others have no business with secrets, and whoever may look at a process can read
    its environment.
    """
    names = {name.upper() for name in (*Settings.model_fields, "redis_tls_url")}
    return {name: os.environ.pop(name) for name in [*os.environ] if name.upper() in names}


def reload_settings(withdrawn: Mapping[str, str]) -> Settings:
    """Read all again that is not in the environment; what was `withdrawn` from that still wins.

    Raises ConfigError as `load_settings` does.
    """
    os.environ.update(withdrawn)
    try:
        return load_settings()
    finally:
        withdraw_from_environment()


def load_settings() -> Settings:
    """Read the environment, `.env`, and the files that either names.

    Raises ConfigError, which lists all that is wrong at once: values out of
    shape, files that cannot be read, settings that contradict each other and, in
    production, each missing variable; or that `.env` cannot be read. It names
    variables and rules, never a value.
    """
    wrong: dict[str, str] = {}
    unread: dict[str, str] = {}
    given: dict[str, Any] = {}
    try:
        given, unread = _given()
        settings = Settings(**given)
    except UnicodeDecodeError:
        raise ConfigError(".env is not UTF-8: save it as UTF-8") from None
    except OSError as fault:
        raise ConfigError(f".env cannot be read: {fault.strerror}") from None
    except ValidationError as invalid:
        wrong = {
            str(fault["loc"][0]): fault["msg"].removeprefix("Value error, ")
            for fault in invalid.errors()
        }
        # The rest is checked as if the faulty ones were left at their defaults.
        settings = Settings(**{**given, **{name: _default(name) for name in wrong}})
    faults = [f"{name.upper()}: {text}" for name, text in (wrong | unread).items()]
    faults += settings.conflicts
    if settings.production:
        told = {name.removesuffix(FILE) for name in (*wrong, *unread)}
        faults += [f"{name}: missing" for name in settings.missing if name.lower() not in told]
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def setting_names() -> frozenset[str]:
    """Every variable that gives a setting, REDIS_TLS_URL among them; without `_FILE`."""
    return frozenset({name.upper() for name in Settings.model_fields} | {"REDIS_TLS_URL"})


def given_variables() -> dict[str, dict[str, str | None]]:
    """All variables that there are, ours and others', as written: by where they stand.

    Without those of a `.env` that cannot be read: of that `load_settings` tells.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 # as below

    places: dict[str, dict[str, str | None]] = {"environment": {**os.environ}}
    with suppress(OSError, UnicodeDecodeError):
        places[".env"] = dotenv_values(".env")
    return places


def _given() -> tuple[dict[str, Any], dict[str, str]]:
    """What is set, by variable, and what is wrong with files that should have been read."""
    environment = {name.lower(): value for name, value in os.environ.items()}
    other_names = {"redis_url": ("redis_tls_url",)}  # which go before it
    names = [(*other_names.get(name, ()), name) for name in Settings.model_fields]
    return read_variables(names, [environment, _dot_env()])


def _dot_env() -> dict[str, str | None]:
    """The variables of `.env`, if there is one, in lower case."""
    from dotenv import dotenv_values  # noqa: PLC0415 # no worker reads one

    return {name.lower(): value for name, value in dotenv_values(".env").items()}


def _default(name: str) -> Any:
    field = Settings.model_fields.get(name, Settings.model_fields["redis_url"])
    return field.default

"""Every setting of the simulator, its unit and its default."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_APPID = "wx5111aa7e00c0ffee"
DEFAULT_SECRET = "5111aa7e5111aa7e5111aa7e5111aa7e"  # noqa: S105 - opens nothing but the simulator


class AppEntry(BaseModel):
    """One mini-program WeChat knows, as written in SIMULATOR_APPS."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    appid: Annotated[str, Field(min_length=1, max_length=64)]
    secret: SecretStr
    platform: str | None = None
    """Name of the open-platform account that binds the app; apps of one account share unionids."""

    @field_validator("secret")
    @classmethod
    def _secret_is_not_empty(cls, secret: SecretStr) -> SecretStr:
        if not secret.get_secret_value():
            raise ValueError("the secret is empty")
        return secret


class SimulatorSettings(BaseSettings):
    """Read from SIMULATOR_* variables; a value that cannot be used raises ValidationError."""

    model_config = SettingsConfigDict(
        env_prefix="SIMULATOR_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8001
    """0 takes any free port."""
    apps: tuple[AppEntry, ...] = (AppEntry(appid=DEFAULT_APPID, secret=SecretStr(DEFAULT_SECRET)),)
    code_life_seconds: Annotated[float, Field(gt=0)] = 300
    session_key_interval_seconds: Annotated[float, Field(ge=0)] = 60
    """Logins closer together than this share one session_key."""
    session_key_rotation: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Chance that a login after that interval gets a new session_key."""
    session_key_life_seconds: Annotated[float, Field(gt=0)] = 259_200
    """WeChat does not publish its own; three days is the longest that has been reported."""
    minute_quota: Annotated[int, Field(ge=1)] = 100
    """Exchanges one user may make in a calendar minute."""
    token_life_seconds: Annotated[float, Field(gt=0)] = 7200
    token_overlap_seconds: Annotated[float, Field(ge=0)] = 300
    """How long the former token goes on, and how long before its end the stable one is replaced."""
    token_daily_quota: Annotated[int, Field(ge=1)] = 2000
    """Calls of /cgi-bin/token an app may make in a day."""
    redis_pid: Annotated[int, Field(ge=2)] | None = None
    """Process of the embedded Redis, which /sim/redis then stops and lets go on."""
    environment: Annotated[str, Field(validation_alias="ENVIRONMENT")] = "development"
    dyno: Annotated[str, Field(validation_alias="DYNO")] = ""

    @field_validator("apps")
    @classmethod
    def _appids_differ(cls, apps: tuple[AppEntry, ...]) -> tuple[AppEntry, ...]:
        if not apps:
            raise ValueError("no app is listed")
        if len({app.appid for app in apps}) < len(apps):
            raise ValueError("an appid appears twice")
        return apps

    @model_validator(mode="after")
    def _overlap_fits_into_life(self) -> Self:
        if self.token_overlap_seconds > self.token_life_seconds / 2:
            raise ValueError("token_overlap_seconds is more than half of token_life_seconds")
        return self

    @model_validator(mode="after")
    def _not_in_production(self) -> Self:
        if self.environment.strip().lower() == "production":
            raise ValueError(
                "the WeChat simulator lets anybody log in as anybody, so it does not run "
                "with ENVIRONMENT=production"
            )
        if self.dyno:
            raise ValueError(
                "the WeChat simulator lets anybody log in as anybody, so it does not run "
                "on a Heroku dyno (DYNO is set)"
            )
        return self

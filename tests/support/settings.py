"""Settings for tests: complete."""

from __future__ import annotations

from service.config.settings import Settings

APPID = "wx0123456789abcdef"
APP_SECRET = "app-secret-canary-6c1f7d2e94b8a350"
SECRET_KEY = "secret-key-canary-8d0e5b7a1c3f42966f"


def make_settings(**overrides: object) -> Settings:
    """Everything that a service needs; `redis_url` points nowhere unless given."""
    values: dict[str, object] = {
        "redis_url": "redis://127.0.0.1:1",
        "database_url": "postgresql://127.0.0.1:1/none",
        "avatar_store": "s3://nowhere",
        "wechat_appid": APPID,
        "wechat_secret": APP_SECRET,
        "secret_keys": SECRET_KEY,
        **overrides,
    }
    return Settings(**values)

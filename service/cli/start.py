"""What every command does first that needs the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from service import logs
from service.cli.language import Text
from service.cli.refusal import Refused
from service.config.settings import (
    ConfigError,
    hand_on_keys_of_storage,
    load_settings,
    withdraw_from_environment,
)
from service.private_files import make_new_files_private

if TYPE_CHECKING:
    from service.config.settings import Settings

UNUSABLE: Final = Text("The settings cannot be used:", "配置无法使用：")
_INCOMPLETE: Final = Text(
    "Not set, and this command needs it: {names}", "此命令需要以下变量，但未设置：{names}"
)


def read_settings() -> tuple[Settings, dict[str, str]]:
    """The settings, and what was taken out of the environment for them; sets up the log.

    Raises Refused.
    """
    try:
        settings = load_settings()
    except ConfigError as fault:
        raise Refused(UNUSABLE, str(fault)) from None
    withdrawn = withdraw_from_environment()
    make_new_files_private()
    logs.configure(settings)
    hand_on_keys_of_storage()
    return settings, withdrawn


def settings_with(*names: str) -> Settings:
    """The settings, in which the named ones are set; raises Refused."""
    settings, _ = read_settings()
    missing = [name for name in names if name in settings.missing]
    if missing:
        text = ", ".join(missing)
        raise Refused(Text(_INCOMPLETE.en.format(names=text), _INCOMPLETE.zh.format(names=text)))
    return settings

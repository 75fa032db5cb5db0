"""What a client asks for when it logs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.core.ids import digest

if TYPE_CHECKING:
    from service.core.errors import LoginCodeInvalid, PhoneCodeInvalid
    from service.core.models import Encrypted, WeChatApp


@dataclass(slots=True)  # not frozen: that takes twice as long to make
class LoginRequest:
    """What a client brings to log in."""

    code: str = field(repr=False)
    """From `wx.login`."""
    appid: str | None = None
    """None: the only mini-program there is."""
    device: str | None = None
    """None: the first device class."""
    idempotency_key: str | None = field(default=None, repr=False)
    address: str | None = None
    """The client's; None where it is not known, as behind a proxy that does not tell."""
    phone_code: str | None = field(default=None, repr=False)
    """From the phone number button: makes it a phone login."""
    encrypted: Encrypted | None = None
    """A profile that WeChat encrypted for the user."""
    raw_data: str | None = field(default=None, repr=False)
    signature: str | None = None

    def digest(self, app: WeChatApp, device: str) -> str:
        """Stands for what is asked for, whatever it came by: route, headers, an appid left out."""
        encrypted = self.encrypted
        asked = (
            self.code,
            app.appid,
            device,
            self.phone_code,
            encrypted and (encrypted.data, encrypted.iv),
            self.raw_data,
            self.signature,
        )
        # As Python writes it, no two are alike: each text is quoted.
        return digest(repr(asked))


def add_hint(error: LoginCodeInvalid | PhoneCodeInvalid, request: LoginRequest) -> None:
    """Add a hint to an error of a code when the two codes of a phone login look swapped.

    WeChat's phone codes are 64 hexadecimal digits, its login codes 32 letters
    and digits; neither is documented, so this only ever adds a hint.
    """
    phone_code = request.phone_code
    if phone_code is not None and len(request.code) > len(phone_code):
        hint = "code and loginCode look swapped: code is the phone number button's"
        error.data = {**(error.data or {}), "hint": hint}

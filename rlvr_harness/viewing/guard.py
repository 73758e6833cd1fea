"""Who may ask: the token, the Host header, and the secret that every form carries. And what every answer says."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(header: str) -> str:
    """The name in a Host header, without its port: `[::1]:80` -> `::1`; '' where it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Guard:
    """Decides for one server. `token` '' asks for none, which only a server on loopback may do."""

    host: str
    token: str = ""
    form_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @classmethod
    def make(cls, host: str, token: str | None) -> Guard:
        """With the token given; with a new one where none is and other machines can reach the server."""
        return cls(host, token or ("" if is_loopback(host) else secrets.token_urlsafe(24)))

    @property
    def session(self) -> str:
        """Value of the cookie that stands for the token once it was shown."""
        return hmac.digest(self._session.encode(), self.token.encode(), "sha256").hex()

    def host_fits(self, header: str) -> bool:
        """On loopback only its own names: a foreign site whose name was pointed at 127.0.0.1 is refused."""
        name = host_name(header)
        return not is_loopback(self.host) or name in (*LOCAL_NAMES, self.host)

    def token_fits(self, given: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode("utf-8", "replace"))

    def session_fits(self, cookie: str) -> bool:
        """Whether the cookie is one of ours; always so where no token is asked for."""
        return not self.token or hmac.compare_digest(cookie.encode("utf-8", "replace"), self.session.encode())

    def form_fits(self, headers: Mapping[str, str], secret: str) -> bool:
        """Whether a form was sent from one of our own pages."""
        if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("Origin", "null")
        # Browsers send `null` for forms of pages whose referrer policy is no-referrer, as ours is.
        if origin != "null" and urlsplit(origin).netloc != headers.get("Host"):
            return False
        return hmac.compare_digest(secret.encode("utf-8", "replace"), self.form_secret.encode())

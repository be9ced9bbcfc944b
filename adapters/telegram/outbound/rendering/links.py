"""Links: which addresses Telegram accepts, which ones hide where they lead, and how others are written out.

The rules are those of tdlib (`parse_url`, `check_link`), and stricter: only http and https become links,
because `tg://` mentions people and `mailto:` is read as a host there. Telegram itself makes links of
addresses that are written out.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import unquote

MAX_CHARS = 2_048
_MAX_DATA_CHARS = 64
_MIN_CONTAINED = 8
"""A shorter address, such as `a`, may stand in a label by chance."""

_HTTP = re.compile(r"(?i)https?://(?P<authority>[^/?#\\]*)(?:[/?#]\S*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,8}))?")
_HOST = re.compile(r"[0-9A-Za-z_\u0080-\U0010ffff-]+(?:\.[0-9A-Za-z_\u0080-\U0010ffff-]+)+\.?")
_NO_URL_CHARS = re.compile(r"[\x00-\x20\x7f]")
_SHORT_SCHEME = re.compile(r"(?i)(?:mailto|tel|sms):(?=[^/])")
_HOST_IN_LABEL = re.compile(
    r"(?i)(?:\b[a-z][a-z0-9+.-]{1,15}://(?:[^\s/?#@]{0,200}@)?)?"
    r"(?P<host>(?<![\w.])[^\W_](?:[\w-]{0,62}\.){1,10}(?P<top>[^\W\d_]{2,24}))(?![\w-])"
)
_SCHEME_IN_LABEL = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]{1,15}://(?:[^\s/?#@]{0,200}@)?(?P<host>[^\s/?#:]+)"
)
_NO_TOP_DOMAINS = frozenset(
    {
        "cpp",
        "css",
        "gif",
        "html",
        "ini",
        "ipynb",
        "jpeg",
        "jpg",
        "js",
        "json",
        "jsx",
        "lock",
        "log",
        "mjs",
        "pdf",
        "php",
        "png",
        "sql",
        "svg",
        "toml",
        "ts",
        "tsx",
        "txt",
        "xml",
        "yaml",
        "yml",
    }
)
"""Endings of file names, such as those of Node.js, that no address ends with."""
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def normalised(url: str) -> str:
    """`url` as it is sent: blanks and control characters percent-encoded."""
    return _NO_URL_CHARS.sub(lambda found: f"%{ord(found[0]):02X}", url.strip())


def is_linkable(url: str) -> bool:
    """Whether Telegram accepts `url` as the address of a link, and it is one that people may be sent to."""
    found = _HTTP.fullmatch(url)
    if found is None or len(url) > MAX_CHARS:
        return False
    authority = _AUTHORITY.fullmatch(found["authority"])
    if authority is None or not (authority["port"] is None or 0 < int(authority["port"]) < 65536):
        return False
    return _is_host(authority["host"])


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def written_out(url: str) -> str:
    """`url` as people write it."""
    if url[:5].lower() == "data:" and len(url) > _MAX_DATA_CHARS:
        return url[:_MAX_DATA_CHARS] + "…"
    return _SHORT_SCHEME.sub("", url, count=1)


def shows(label: str, url: str) -> bool:
    """Whether `label` already is the address."""
    address = written_out(url)
    if _core(label) == _core(address):
        return True
    return len(address) >= _MIN_CONTAINED and (address in label or unquote(address) in label)


def hides_host(label: str, url: str) -> bool:
    """Whether `label` names another host than the one that the link leads to."""
    found = _HTTP.fullmatch(url)
    if found is None:
        return False
    authority = _AUTHORITY.match(found["authority"])
    host = _plain_host(authority["host"]) if authority else ""
    return any(not _belongs_to(host, named) for named in _hosts_in(label))


def _hosts_in(label: str) -> list[str]:
    """Hosts that `label` names, as addresses or by themselves."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", label[:MAX_CHARS]))
    plain = plain.replace("。", ".")
    by_name = [
        found["host"]
        for found in _HOST_IN_LABEL.finditer(plain)
        if found["top"].lower() not in _NO_TOP_DOMAINS
    ]
    by_address = [found["host"] for found in _SCHEME_IN_LABEL.finditer(plain)]
    return [_plain_host(host) for host in by_name + by_address]


def _belongs_to(host: str, named: str) -> bool:
    """Whether both are one site: the same, or one within the other."""
    return host == named or host.endswith(f".{named}") or named.endswith(f".{host}")


def _plain_host(host: str) -> str:
    return host.lower().rstrip(".").removeprefix("www.")


def _core(address: str) -> str:
    """What tells two addresses apart, whatever scheme or final slash is written."""
    return re.sub(r"(?i)^[a-z]{2,6}:(?://)?", "", address.strip()).rstrip("/").lower()

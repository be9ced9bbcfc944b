"""Parser of REDIS_URL. Its errors never show the value, which may hold a password.

    redis://[user:password@]host[:6379][/db]                      rediss:// with TLS
    unix:///path/to/socket[?db=1]
    redis+sentinel://[user:password@]host[:26379],host…/service[/db]   rediss+sentinel://
    redis+cluster://[user:password@]host[:6379],host…                  rediss+cluster://

After `?`: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths), `ssl_cert_reqs` (`required`, `optional`, `none`),
`ssl_check_hostname` (`true`, `false`), `db`, `client_name`, `username`, `password`, and for
Sentinel `sentinel_username`, `sentinel_password`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, unquote

from bot.errors import SettingsError

Kind = Literal["standalone", "unix", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("standalone", False),
    "rediss": ("standalone", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_EXAMPLES: dict[Kind, str] = {
    "standalone": "redis://:password@localhost:6379/0",
    "unix": "unix:///run/redis/redis.sock",
    "sentinel": "redis+sentinel://:password@sentinel-1:26379,sentinel-2:26379/mymaster/0",
    "cluster": "redis+cluster://:password@node-1:6379,node-2:6379",
}
_TEXTS = ("client_name", "username", "password", "sentinel_username", "sentinel_password")
_TLS_PATHS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = (*_TEXTS, *_TLS_PATHS, "ssl_cert_reqs", "ssl_check_hostname", "db")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed REDIS_URL.

    Attributes:
        hosts: (host, port) of the server, the sentinels or some cluster nodes; none with `unix`.
        options: further arguments for redis-py: TLS and credentials.
    """

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """The address without user, password and options."""
        if self.kind == "unix":
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        scheme = next(name for name, value in _SCHEMES.items() if value == (self.kind, self.tls))
        hosts = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.hosts)
        path = f"/{self.service}" if self.service else ""
        return f"{scheme}://{hosts}{path}" + ("" if self.kind == "cluster" else f"/{self.db}")


def parse(text: str) -> RedisUrl:
    """Parse REDIS_URL. Raises SettingsError, which names the mistake and shows a correct example."""
    text = text.strip()
    scheme = text.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise _wrong(f"has to begin with one of {known}", "standalone")
    kind, tls = _SCHEMES[scheme]
    try:
        parts = _split(text)
        options = _options(parts, kind, tls)
    except _Mistake as mistake:
        raise _wrong(str(mistake), kind) from None
    except ValueError:
        raise _wrong("cannot be read (a [ without its ]?)", kind) from None
    db = options.pop("db", None)
    sentinel_options = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in ("sentinel_username", "sentinel_password")
        if name in options
    }
    try:
        if kind == "unix":
            if parts.netloc.rpartition("@")[2] or not parts.path.startswith("/"):
                raise _Mistake("has to have three slashes before the socket's path")
            return RedisUrl(kind, path=unquote(parts.path), db=_db(db), options=options)
        hosts = _hosts(parts.netloc.rpartition("@")[2], kind)
        steps = [unquote(step) for step in parts.path.split("/")[1:] if step]
        service = _service(steps) if kind == "sentinel" else ""
        if len(steps) > 1:
            raise _Mistake("has more after its hosts than a database number")
        number = _db(db if db is not None else steps[0] if steps else None)
        if kind == "cluster" and (steps or number):
            raise _Mistake("has a database number, which a cluster does not know")
    except _Mistake as mistake:
        raise _wrong(str(mistake), kind) from None
    return RedisUrl(kind, tls, hosts, "", number, service, options, sentinel_options)


class _Mistake(Exception):
    """A mistake in REDIS_URL, as the end of the sentence `REDIS_URL …`."""


def _wrong(what: str, kind: Kind) -> SettingsError:
    return SettingsError(
        f"REDIS_URL {what}",
        cure=f"Write it like {_EXAMPLES[kind]}. In a password write @ : / ? # % as %40 %3A %2F %3F %23 %25.",
    )


def _split(text: str) -> SplitResult:
    """Like urlsplit, which in some versions refuses brackets after a comma. Raises ValueError."""
    scheme, _, rest = text.partition("://")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    hosts = netloc.rpartition("@")[2]
    if hosts.count("[") != hosts.count("]"):
        raise ValueError("unpaired bracket")
    return SplitResult(scheme, netloc, slash + path, query, fragment)


def _options(parts: SplitResult, kind: Kind, tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    who, at, _ = parts.netloc.rpartition("@")
    if at:
        user, _, password = who.partition(":")
        if user:
            options["username"] = unquote(user)
        if password:
            options["password"] = unquote(password)
    if parts.fragment:
        raise _Mistake("has an unescaped #")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise _Mistake(f"has an unknown option; known are {', '.join(_OPTIONS)}")
        if name.startswith("ssl_") and not tls:
            raise _Mistake(f"has {name} without TLS: begin with rediss")
        if name.startswith("sentinel_") and kind != "sentinel":
            raise _Mistake(f"has {name} without being redis+sentinel://")
        if name == "ssl_cert_reqs" and value not in ("required", "optional", "none"):
            raise _Mistake("has ssl_cert_reqs other than required, optional, none")
        if name == "ssl_check_hostname":
            if value.lower() not in ("true", "false"):
                raise _Mistake("has ssl_check_hostname other than true, false")
            options[name] = value.lower() == "true"
        else:
            options[name] = value
    if options.get("ssl_cert_reqs") == "none":
        options.setdefault("ssl_check_hostname", False)
    return options


def _hosts(text: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    if kind == "standalone" and "," in text:
        raise _Mistake("has several hosts: begin with redis+sentinel:// or redis+cluster://")
    found = []
    for item in text.split(","):
        match = re.fullmatch(
            r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:\s]+))(?::(\d{1,5}))?", item.strip()
        )
        if match is None:
            raise _Mistake("has a host that is empty, or a port that is no number")
        port = int(match[3] or (26379 if kind == "sentinel" else 6379))
        if not 0 < port < 65536:
            raise _Mistake("has a port outside 1 to 65535")
        found.append((unquote(match[1] or match[2]), port))
    return tuple(found)


def _service(steps: list[str]) -> str:
    if not steps:
        raise _Mistake("has no service after the sentinels: /mymaster")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", steps[0]):  # sentinel.conf allows no others
        raise _Mistake("has a service with other characters than letters, digits, . _ -")
    return steps.pop(0)


def _db(text: str | None) -> int:
    if text is None:
        return 0
    if not re.fullmatch(r"\d{1,5}", text):
        raise _Mistake("has a database that is no number")
    return int(text)

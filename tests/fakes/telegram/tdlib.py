"""Rules by which Telegram's server (tdlib) takes the links and entities of a bot's message.

Sources: `LinkManager::check_link_impl`, `parse_url` and `fix_entities` of https://github.com/tdlib/td
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

_SPLITTABLE = {"bold", "italic", "underline", "strikethrough", "spoiler"}
_QUOTES = {"blockquote", "expandable_blockquote"}
_PRIORITY = {"pre": 11, "code": 20}
_USER = re.compile(r"(?i)tg:(?://)?user\?id=([0-9]+)")


class BadLink(Exception):
    """Reason for which an address is refused."""


def checked_link(link: str) -> str:
    """`link` as Telegram would keep it. Raises BadLink."""
    found = re.match(r"(?i)(tg|ton|tonsite):(?://)?", link)
    if found:
        host = re.split(r"[/?#]", link[found.end() :], maxsplit=1)[0]
        if not re.fullmatch(r"[0-9A-Za-z_.-]+", host):
            raise BadLink("Unallowed characters in URL host")
        return link
    host, is_ipv6 = _host_of(link)
    if "." not in host and not is_ipv6:
        raise BadLink("Wrong HTTP URL")
    return link if "://" in link else f"http://{link}/"


def _host_of(url: str) -> tuple[str, bool]:
    """The host, and whether it is an IPv6 address. Raises BadLink."""
    protocol, colon, rest = url.partition(":")
    if colon and rest.startswith("//"):
        if protocol.lower() not in ("http", "https"):
            raise BadLink("Unsupported URL protocol")
        rest = rest[2:]
    else:
        rest = url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    found = re.fullmatch(r"(.*):([^:\]@]*)", authority, re.DOTALL)
    if found:
        authority, port = found.groups()
        if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
            raise BadLink("Wrong port number specified in the URL")
    host = authority.rpartition("@")[2]
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise BadLink("Wrong IPv6 address specified in the URL") from None
        return host, True
    if not host:
        raise BadLink("URL host is empty")
    if re.search(r"[\x00-\x20\"#/:<>?@\[\\\]^`{|}\x7f]|%(?![0-9A-Fa-f]{2})", host):
        raise BadLink("Disallowed character in URL host")
    return host, False


def kept_entities(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entities that people see: of links, code and the like no two may overlap, and `tg://user` mentions people."""
    in_order = sorted(
        entities, key=lambda e: (e["offset"], -e["length"], _PRIORITY.get(e["type"], 50))
    )
    kept: list[dict[str, Any]] = []
    end = 0
    for entity in in_order:
        if entity["type"] not in _SPLITTABLE | _QUOTES:
            if entity["offset"] < end:
                continue
            end = entity["offset"] + entity["length"]
        user = _USER.fullmatch(entity.get("url") or "")
        if user:
            place = {"offset": entity["offset"], "length": entity["length"]}
            entity = {"type": "text_mention", **place, "user": {"id": int(user[1])}}
        kept.append(entity)
    return kept

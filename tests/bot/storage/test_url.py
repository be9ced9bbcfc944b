"""REDIS_URL in all its forms, and the errors for mistakes in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SettingsError
from bot.storage.url import RedisUrl, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://localhost", RedisUrl("standalone", hosts=(("localhost", 6379),))),
        ("redis://h:1/3", RedisUrl("standalone", hosts=(("h", 1),), db=3)),
        ("redis://h/?db=3", RedisUrl("standalone", hosts=(("h", 6379),), db=3)),
        ("REDIS://[::1]:7", RedisUrl("standalone", hosts=(("::1", 7),))),
        (
            "rediss://u:p%40%2F@h?ssl_ca_certs=/ca.pem",
            RedisUrl(
                "standalone",
                tls=True,
                hosts=(("h", 6379),),
                options={"username": "u", "password": "p@/", "ssl_ca_certs": "/ca.pem"},
            ),
        ),
        (
            "rediss://h?ssl_cert_reqs=none",
            RedisUrl(
                "standalone",
                tls=True,
                hosts=(("h", 6379),),
                options={"ssl_cert_reqs": "none", "ssl_check_hostname": False},
            ),
        ),
        ("unix:///a%20b.sock?db=2", RedisUrl("unix", path="/a b.sock", db=2)),
        ("unix://:p@/s", RedisUrl("unix", path="/s", options={"password": "p"})),
        (
            "redis+sentinel://:p@a,b:2/main/1?sentinel_password=q",
            RedisUrl(
                "sentinel",
                hosts=(("a", 26379), ("b", 2)),
                service="main",
                db=1,
                options={"password": "p"},
                sentinel_options={"password": "q"},
            ),
        ),
        (
            "rediss+cluster://a,[::1]:2",
            RedisUrl("cluster", tls=True, hosts=(("a", 6379), ("::1", 2))),
        ),
    ],
)
def test_an_address_is_parsed(text: str, expected: RedisUrl) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("localhost:6379", "begin with one of redis://"),
        ("http://h", "begin with one of redis://"),
        ("redis-sentinel://h/s", "begin with one of redis://"),
        ("redis://", "host that is empty"),
        ("redis://h:port", "port that is no number"),
        ("redis://h:0", "port outside"),
        ("redis://h:99999", "port outside"),
        ("redis://h/none", "database that is no number"),
        ("redis://h/0/1", "more after its hosts"),
        ("redis://a,b", "several hosts"),
        ("redis://[::1", "cannot be read"),
        ("redis://h?socket_timeout=1", "unknown option"),
        ("redis://h?ssl_ca_certs=/ca.pem", "begin with rediss"),
        ("rediss://h?ssl_cert_reqs=perhaps", "required, optional, none"),
        ("rediss://h?ssl_check_hostname=perhaps", "true, false"),
        ("redis://h?sentinel_password=p", "redis+sentinel"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix://", "three slashes"),
        ("redis+sentinel://a,b", "no service"),
        ("redis+sentinel://a/main/x", "no number"),
        ("redis+sentinel://a/ma@in", "other characters"),
        ("redis+cluster://a/1", "database number"),
        ("redis+cluster://a?db=1", "database number"),
        ("redis+cluster://a,,b", "host that is empty"),
    ],
)
def test_a_mistake_is_reported_with_a_correct_example(text: str, what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert what in caught.value.detail
    assert "Write it like" in caught.value.cure
    example = caught.value.cure.split()[3].rstrip(".")
    parse(example)


@given(
    st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "nonsense"]),
    st.sampled_from(["hunter", "123"]),
    st.sampled_from(["", "/", "#", "?", ":", "@", "[", "%"]),
    st.sampled_from(["@h:1/0", "@h:x", "@h,b/s/1", "@/sock"]),
)
def test_no_mistake_and_no_description_shows_the_password(
    scheme: str, password: str, odd: str, end: str
) -> None:
    try:
        found = parse(f"{scheme}://user:{password}{odd}guess{end}")
        shown = f"{found} {found!r}"
    except SettingsError as error:
        shown = f"{error} {error.cure} {error.__cause__}"
    assert password not in shown
    assert "guess" not in shown


@given(
    st.text(min_size=1, max_size=20),
    st.sampled_from(
        ["redis://{}h", "redis+sentinel://{}h/s", "redis+cluster://{}h", "unix://{}/s"]
    ),
)
def test_an_escaped_password_arrives_as_it_is(password: str, form: str) -> None:
    from urllib.parse import quote

    try:
        escaped = quote(password, safe="")
    except UnicodeEncodeError:
        return
    assert parse(form.format(f":{escaped}@")).options["password"] == password


@pytest.mark.parametrize(
    "text",
    [
        "redis://h:6379/0",
        "rediss://[::1]:1/2",
        "unix:///s?db=1",
        "redis+sentinel://a:1,b:2/main/1",
        "rediss+cluster://a:1,b:2",
    ],
)
def test_a_description_is_an_address_again(text: str) -> None:
    assert str(parse(text)) == text

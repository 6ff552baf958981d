from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.settings.config import SETTINGS, ConfigError, Settings, load
from rowbox.mailbox.settings.setting import Kind


def refusal(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, toml_text: str | None = None
) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(flags or {}, environ or {}, toml_text)
    return caught.value


def test_without_sources_all_is_default() -> None:
    loaded = load({}, {}, None)
    assert loaded.settings == Settings()
    assert {loaded.origin(key) for key in SETTINGS} == {"default"}


def test_flags_come_before_the_environment_before_the_file_before_defaults() -> None:
    file = "[server]\nport = 1001\nhost = '::1'\ndrain_ms = '3s'"
    environ = {"ROWBOX_SERVER_PORT": "1002", "ROWBOX_SERVER_HOST": "127.0.0.2"}
    loaded = load({"server.port": "1003"}, environ, file)
    server = loaded.settings.server
    assert (server.port, server.host, server.drain_ms, server.admin_port) == (1003, "127.0.0.2", 3000, 8081)
    keys = ("server.port", "server.host", "server.drain_ms", "server.admin_port")
    assert [loaded.origin(key) for key in keys] == ["flag --port", "environment ROWBOX_SERVER_HOST", "file", "default"]


def test_a_flag_that_was_not_given_decides_nothing() -> None:
    assert load({"server.port": None}, {"ROWBOX_SERVER_PORT": "9"}, None).settings.server.port == 9


def test_text_and_numbers_of_either_source_mean_the_same() -> None:
    file = load({}, {}, "[store]\nretention_ms = '1d'\n[cache]\nbytes = 1048576\n[rate_limits]\nsend_per_second = 2")
    environ = load(
        {},
        {"ROWBOX_STORE_RETENTION_MS": "24h", "ROWBOX_CACHE_BYTES": "1MiB", "ROWBOX_RATE_LIMITS_SEND_PER_SECOND": "2.0"},
        None,
    )
    assert file.settings == environ.settings


@pytest.mark.parametrize(("text", "enabled"), [("on", True), ("off", False), ("true", True), ("FALSE", False)])
def test_a_switch_is_on_or_off(text: str, enabled: bool) -> None:
    assert load({"rate_limits.enabled": text}, {}, None).settings.rate_limits.enabled is enabled


def test_a_list_is_split_at_commas_in_the_environment() -> None:
    variable = {"ROWBOX_SERVER_CORS_ORIGINS": "https://a.example, https://b.example"}
    file = "[server]\ncors_origins = ['https://a.example', 'https://b.example']"
    assert load({}, variable, None).settings == load({}, {}, file).settings
    assert load({}, variable, None).settings.server.cors_origins == ("https://a.example", "https://b.example")


def test_what_is_not_rowbox_in_the_environment_is_nobodys_business() -> None:
    assert load({}, {"PATH": "/bin", "ROWBOX_CONFIG": "x.toml"}, None).settings == Settings()


@pytest.mark.parametrize(
    ("sources", "key", "origin"),
    [
        ({"flags": {"server.prt": "1"}}, "server.prt", "flag server.prt"),
        ({"environ": {"ROWBOX_SERVER_PRT": "1"}}, "ROWBOX_SERVER_PRT", "environment"),
        ({"toml_text": "[server]\nprt = 1"}, "server.prt", "file"),
        ({"toml_text": "[sever]\nport = 1"}, "sever", "file"),
        ({"toml_text": "port = 1"}, "port", "file"),
    ],
)
def test_an_unknown_key_is_refused(sources: dict[str, Any], key: str, origin: str) -> None:
    error = refusal(**sources)
    assert (error.key, error.origin) == (key, origin)
    assert error.expected.startswith("a known setting")


def test_an_unknown_key_is_told_what_it_may_have_meant() -> None:
    assert "did you mean store.shards?" in str(refusal(toml_text="[store]\nshard = 64"))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            {"flags": {"server.port": "70000"}},
            "server.port = '70000' (flag --port): expected a whole number from 0 to 65535",
        ),
        (
            {"environ": {"ROWBOX_STORE_SHARDS": "many"}},
            "store.shards = 'many' (environment ROWBOX_STORE_SHARDS): expected a whole number from 64 to 65536",
        ),
        (
            {"toml_text": "[store]\nretention_ms = 0"},
            "store.retention_ms = 0 (file): expected a duration from 1s to 36500d",
        ),
        ({"toml_text": "[cache]\nbytes = '64MB'"}, "cache.bytes = '64MB' (file): expected a size from 1MiB to 1TiB"),
        ({"toml_text": "[server]\nport = '80'"}, "server.port = '80' (file): expected a whole number from 0 to 65535"),
        ({"toml_text": "[server]\nport = true"}, "server.port = True (file): expected a whole number from 0 to 65535"),
        ({"toml_text": "[server]\nlog_format = 'xml'"}, "server.log_format = 'xml' (file): expected one of text, json"),
        ({"toml_text": "[rate_limits]\nenabled = 1"}, "rate_limits.enabled = 1 (file): expected on or off"),
        (
            {"toml_text": "[rate_limits]\nsend_burst = nan"},
            "rate_limits.send_burst = nan (file): expected a whole number from 0 to 1000000",
        ),
        (
            {"toml_text": "[rate_limits]\nsend_per_second = inf"},
            "rate_limits.send_per_second = inf (file): expected a number from 0 to 1000000",
        ),
        (
            {"toml_text": "[rate_limits]\nsend_per_second = nan"},
            "rate_limits.send_per_second = nan (file): expected a number from 0 to 1000000",
        ),
        (
            {"flags": {"rate_limits.enabled": "maybe"}},
            "rate_limits.enabled = 'maybe' (flag --rate-limits): expected on or off",
        ),
        ({"toml_text": "server = 1"}, "server = 1 (file): expected a table [server]"),
    ],
)
def test_a_wrong_value_names_key_value_origin_and_what_is_expected(sources: dict[str, Any], message: str) -> None:
    assert str(refusal(**sources)) == message


def test_a_wrong_value_is_refused_also_where_another_source_overrides_it() -> None:
    assert refusal(flags={"server.port": "80"}, toml_text="[server]\nport = -1").origin == "file"


def test_a_file_that_is_no_toml_is_refused() -> None:
    assert refusal(toml_text="port: 80").expected == "TOML"


def test_both_ports_may_be_any_free_one_but_not_the_same_one() -> None:
    assert load({"server.port": "0", "server.admin_port": "0"}, {}, None).settings.server.admin_port == 0
    assert refusal(flags={"server.port": "8081"}).key == "server.admin_port"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ROWBOX_SERVER_MAX_BODY_BYTES": "4MiB"}, "bodies_bytes_per_user = 2097152 .*at least server.max_body_bytes"),
        ({"ROWBOX_SERVER_BODIES_BYTES": "1MiB"}, "bodies_bytes = 1048576 .*at least server.bodies_bytes_per_user"),
    ],
)
def test_the_largest_body_has_to_find_room(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load({}, environment, None)


def test_keys_are_kept_for_as_long_as_they_need_not_be_read_again() -> None:
    with pytest.raises(ConfigError, match=r"auth.jwks_keep_ms = 60000 .*at least auth.jwks_max_age_ms"):
        load({}, {"ROWBOX_AUTH_JWKS_KEEP_MS": "1m"}, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://chat-1.example.com",
        "wss://chat-1.example.com:8443/",
        "http://10.0.0.7:8080/below/it",
        "ws://[::1]:8080",
        "",
    ],
)
def test_where_clients_may_be_sent(url: str) -> None:
    assert load({}, {"ROWBOX_SERVER_PUBLIC_URL": url}, None).settings.server.public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "chat-1.example.com",
        "/below",
        "ftp://chat-1.example.com",
        "https://",
        "https://alice@chat-1.example.com",
        "https://alice:secret@chat-1.example.com",
        "https://chat-1.example.com?token=1",
        "https://chat-1.example.com/#top",
        "https://chat-1.example.com:0",
        "https://chat-1.example.com:65536",
        "https://chat 1.example.com",
        "https://chat-1.example.com\\@evil.example.org",
        "https://chat-1.example.com\n",
        "https://" + "a" * 200,
    ],
)
def test_where_clients_may_not_be_sent(url: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.public_url"):
        load({}, {"ROWBOX_SERVER_PUBLIC_URL": url}, None)


def test_nobody_is_sent_to_a_server_that_serves_no_clients() -> None:
    given = {
        "ROWBOX_SERVER_PUBLIC_URL": "https://cache-1.example.com",
        "ROWBOX_STORE_URL": "hbase://g1:9090/rowbox",
        "ROWBOX_CLUSTER_PEER_LISTEN": "127.0.0.1:8082",
        "ROWBOX_CLUSTER_SECRET_FILE": "secret",
    }
    assert load({"server.role": "all"}, given, None).settings.server.public_url
    with pytest.raises(ConfigError, match=r"server\.public_url.*none, for server\.role cache"):
        load({"server.role": "cache"}, given, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.1,192.0.2.1", "::1, ::"])
def test_insecure_dev_only_on_loopback(host: str) -> None:
    error = refusal(flags={"server.insecure_dev": True, "server.host": host})
    assert (error.key, error.origin) == ("server.host", "flag --host")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "127.0.0.1, ::1"])
def test_insecure_dev_on_loopback(host: str) -> None:
    assert load({"server.insecure_dev": True, "server.host": host}, {}, None).settings.server.insecure_dev


@pytest.mark.parametrize("key", ["server.host", "server.admin_host"])
@pytest.mark.parametrize("hosts", [",", "127.0.0.1,", " "])
def test_an_address_that_is_none(key: str, hosts: str) -> None:
    error = refusal(flags={key: hosts})
    assert (error.key, error.expected) == (key, "an address, or several separated by commas")


@given(st.data())
def test_what_a_setting_writes_it_reads_back(data: st.DataObject) -> None:
    setting = data.draw(st.sampled_from([s for s in SETTINGS.values() if s.meta.le is not None]))
    ge, le = setting.meta.ge, setting.meta.le
    assert ge is not None
    assert le is not None
    value = data.draw(st.floats(ge, le) if setting.kind is Kind.NUMBER else st.integers(int(ge), int(le)))
    assert setting.read(setting.write(value), is_text=True) == value


def test_every_setting_is_named_once_bounded_and_explained() -> None:
    assert len({setting.environment for setting in SETTINGS.values()}) == len(SETTINGS)
    bounded = {Kind.DURATION, Kind.SIZE, Kind.INTEGER, Kind.NUMBER}
    for setting in SETTINGS.values():
        assert setting.description.endswith("."), setting.key
        assert setting.read(setting.default, is_text=False) == setting.default, setting.key
        if setting.kind in bounded:
            assert None not in {setting.meta.ge, setting.meta.le}, setting.key


def test_the_caches_stay_within_the_memory_budget_by_default() -> None:
    settings = Settings()
    budget = settings.cache.bytes + settings.store.block_cache_bytes + settings.store.memtable_bytes
    assert budget == 256 << 20


KEY = {"ROWBOX_PUSH_VAPID_KEY_FILE": "push.pem"}


@pytest.mark.parametrize("contact", ["mailto:ops@example.com", "https://example.com"])
def test_push_services_know_whom_to_write_to(contact: str) -> None:
    assert load({}, {**KEY, "ROWBOX_PUSH_CONTACT": contact}, None).settings.push.contact == contact


@pytest.mark.parametrize("contact", ["", "ops@example.com", "mailto:", "http://example.com", "https://localhost/a"])
def test_with_a_key_somebody_has_to_be_named(contact: str) -> None:
    with pytest.raises(ConfigError, match=r"push\.contact.*push\.vapid_key_file"):
        load({}, {**KEY, "ROWBOX_PUSH_CONTACT": contact}, None)
    load({}, {"ROWBOX_PUSH_CONTACT": contact}, None)


@pytest.mark.parametrize("hosts", ["*", "hooks.example.com,*.example.org", "fcm.googleapis.com"])
def test_hosts_that_are_called_are_names(hosts: str) -> None:
    loaded = load({}, {"ROWBOX_PUSH_ALLOWED_HOSTS": hosts}, None).settings
    assert loaded.push.allowed_hosts == tuple(hosts.split(","))


@pytest.mark.parametrize("hosts", ["localhost", "*.com", "https://a.b", "a.b:443", "a.*.b", "**", "a.b/c", "a..b"])
def test_what_names_no_host_is_no_setting(hosts: str) -> None:
    with pytest.raises(ConfigError, match=r"push\.allowed_hosts"):
        load({}, {"ROWBOX_PUSH_ALLOWED_HOSTS": hosts}, None)

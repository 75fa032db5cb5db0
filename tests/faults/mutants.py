"""A small change for each bar, with which it does not hold: `make faults MUTANTS=1` tries them.

tests/unit/test_bars.py sees to it that each still has something to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Edit:
    """Another text in the place of one."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The file with the change; an error where it is not to be made exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has this {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of a file, and the tests of which one has to fail."""

    bar: str
    change: str
    file: str
    old: str
    new: str
    test: str
    """What pytest is to be told, below the repository."""
    together: tuple[Edit, ...] = ()
    """What has to be changed as well, where one thing guards what another does."""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All that is changed."""
        return (Edit(self.file, self.old, self.new), *self.together)


MUTANTS: Final = (
    Mutant(
        bar="A1",
        change="a logout says that it ended what was dead",
        file="service/stores/sessions.py",
        old='expected_echo=digest, wait_replicas=True\n        )\n        return bool(reply[0] == b"ended")',
        new="expected_echo=digest, wait_replicas=True\n        )\n        return bool(reply)",
        test="tests/faults/test_linearizable.py::test_every_history_has_one_session_at_a_time",
    ),
    Mutant(
        bar="A2",
        change="every login has a key of its own",
        file="service/stores/sessions.py",
        old="handle = handle_of(appid, identity.openid, device)",
        new='handle = handle_of(appid, identity.openid + SessionId.new("").secret, device)',
        test="tests/faults/test_crowds.py::test_of_two_hundred_logins_at_once_one_session_is_left",
    ),
    Mutant(
        bar="A3",
        change="a replaced id is taken",
        file="service/stores/sessions.py",
        old="if not hmac.compare_digest(digest, record.digest):",
        new="if not (hmac.compare_digest(digest, record.digest) or record.replaced(digest)):",
        test="tests/faults/test_crowds.py::test_a_replaced_id_is_refused_by_all_workers_at_once",
    ),
    Mutant(
        bar="A4",
        change="a session lives twice as long",
        file="service/stores/sessions.py",
        old="left_ms = record.issued_at + longest_ms - now_ms",
        new="left_ms = record.issued_at + 2 * longest_ms - now_ms",
        test="tests/faults/test_crowds.py::test_a_session_ends_when_its_time_is_up",
    ),
    Mutant(
        bar="A5",
        change="a logout ends whatever session there is",
        file="service/stores/lua/revoke.lua",
        old="record.d == ARGV[2] and not",
        new="not",
        test="tests/faults/test_crowds.py::test_a_logout_of_the_old_id_ends_no_new_session",
    ),
    Mutant(
        bar="A6",
        change="16 random bits",
        file="service/core/models.py",
        old="secrets.token_urlsafe(SECRET_BYTES)",
        new='secrets.token_urlsafe(2) + "A" * 40',
        test="tests/unit/test_models.py::test_a_million_ids_differ_and_have_one_form",
    ),
    Mutant(
        bar="A7",
        change="the first letter of a secret is enough",
        file="service/stores/sessions.py",
        old="if not hmac.compare_digest(digest, record.digest):",
        new="if not hmac.compare_digest(digest[:1], record.digest[:1]):",
        test="tests/faults/test_crowds.py::test_an_id_that_was_not_issued_is_nobodys",
    ),
    Mutant(
        bar="B1",
        change="the time for a call is ten times as long",
        file="service/redis/connect.py",
        old="return 2 * settings.redis_timeout_ms / 1000",
        new="return 20 * settings.redis_timeout_ms / 1000",
        test="tests/faults/test_redis_faults.py::test_a_killed_redis_is_a_quick_503_and_back_as_soon_as_it_is",
    ),
    Mutant(
        bar="B2",
        change="a change waits five seconds longer",
        file="service/redis/scripts.py",
        old="await asyncio.sleep(deadline - time.monotonic())",
        new="await asyncio.sleep(deadline - time.monotonic() + 5)",
        test="tests/faults/test_redis_faults.py::test_a_frozen_redis_keeps_nobody_waiting",
    ),
    Mutant(
        bar="B3",
        change="scripts have no deadline",
        file="service/redis/fence.lua",
        old="if now > tonumber(ARGV[1]) then",
        new="if false then",
        test="tests/faults/test_redis_faults.py::test_a_login_that_was_answered_503_does_not_land_when_redis_wakes_up",
    ),
    Mutant(
        bar="B4",
        change="connections are not looked at before use, and nothing is sent again",
        file="service/redis/connect.py",
        old="MaintNotificationsConfig(enabled=False),",
        new='MaintNotificationsConfig(enabled="auto"),',
        test="tests/faults/test_redis_faults.py::test_idle_connections_that_redis_has_closed_are_noticed_by_nobody",
        together=(
            Edit(
                "service/redis/pipeline.py",
                "except (RedisConnectionError, RedisTimeoutError):",
                "except ZeroDivisionError:",
            ),
        ),
    ),
    Mutant(
        bar="B5",
        change="a login deletes the old session first",
        file="service/stores/lua/create.lua",
        old="redis.call('SET', KEYS[1], string.sub",
        new="redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], string.sub",
        test="tests/faults/test_redis_faults.py::test_a_full_redis_refuses_logins_and_keeps_the_sessions_it_has",
    ),
    Mutant(
        bar="B6",
        change="what Redis refuses is taken for a bug",
        file="service/redis/errors.py",
        old="FAULTS: Final = (RedisError, OSError,",
        new="FAULTS: Final = (RedisConnectionError, OSError,",
        test="tests/faults/test_redis_faults.py::test_a_redis_that_is_read_only_for_a_while_loses_nobody",
    ),
    Mutant(
        bar="B7",
        change="a pool of 64",
        file="service/redis/connect.py",
        old='"max_connections": settings.redis_max_connections,',
        new='"max_connections": 64,',
        test="tests/faults/test_redis_faults.py::test_connections_stay_within_workers_times_pool",
    ),
    Mutant(
        bar="B8",
        change="a script that is unknown is not sent again",
        file="service/redis/scripts.py",
        old="except NoScriptError:",
        new="except ZeroDivisionError:",
        test="tests/faults/test_redis_faults.py::test_a_redis_that_forgets_the_scripts_is_noticed_by_nobody",
    ),
    Mutant(
        bar="B9",
        change="nobody looks again who serves what",
        file="service/redis/refresher.py",
        old="await asyncio.sleep(_PAUSE_SECONDS)",
        new="await asyncio.sleep(999)",
        test="tests/faults/test_cluster.py::test_three_primaries_killed_under_load_cost_moments_and_no_connection",
    ),
    Mutant(
        bar="B10",
        change="the successor is not turned to",
        file="service/redis/sentinel.py",
        old="changed = self._nominated is None or newest.address != self._nominated.address",
        new="changed = self._nominated is None",
        test="tests/faults/test_sentinel.py::test_a_killed_primary_is_followed_by_its_successor_without_a_restart",
    ),
    Mutant(
        bar="B11",
        change="no replica is as good as one",
        file="service/redis/node.py",
        old="if count >= replicas:",
        new="if count >= 0:",
        test="tests/faults/test_cluster.py::test_a_logout_that_no_replica_heard_of_is_not_called_done",
    ),
    Mutant(
        bar="B12",
        change="WAIT is not among the rights",
        file="config/redis-acl.conf",
        old="+role +wait",
        new="+role",
        test="tests/faults/test_redis_acl.py::test_all_that_the_service_does_is_allowed_and_nothing_else",
    ),
    Mutant(
        bar="C1",
        change="redirects are followed",
        file="service/wechat/http.py",
        old="allow_redirects=False",
        new="allow_redirects=True",
        test="tests/faults/test_wechat_faults.py::test_a_redirect_is_not_followed",
    ),
    Mutant(
        bar="C2",
        change="the driver sends again what was reset",
        file="service/wechat/http.py",
        old="session._retry_connection = False",
        new="session._retry_connection = True",
        test="tests/faults/test_wechat_faults.py::test_a_connection_that_is_reset_sends_no_code_twice",
    ),
    Mutant(
        bar="C3",
        change="WeChat's word for too often is another one",
        file="service/wechat/errcodes.py",
        old="APP_QUOTA: Final = 45009",
        new="APP_QUOTA: Final = 45008",
        test="tests/faults/test_breaker.py::test_an_app_over_its_quota_is_told_when_to_come_back",
    ),
    Mutant(
        bar="C4",
        change="as many may hang as come",
        file="service/wechat/http.py",
        old="async with self._share.place(client):",
        new="async with asyncio.timeout(None):",
        test="tests/faults/test_slow_wechat.py::test_five_hundred_logins_that_hang_hold_up_no_check",
    ),
    Mutant(
        bar="C5",
        change="nobody waits for the lock",
        file="service/wechat/access_token.py",
        old="if lock is None:\n            return None",
        new='if lock is None:\n            lock = ""',
        test="tests/faults/test_user_faults.py::test_four_workers_share_one_token_and_renew_it_once[sqlite]",
    ),
    Mutant(
        bar="C6",
        change="certificates are not looked at",
        file="service/wechat/http.py",
        old="limit=settings.wechat_concurrency,",
        new="limit=settings.wechat_concurrency,\n            ssl=False,",
        test="tests/faults/test_named_causes.py::test_wechat",
    ),
    Mutant(
        bar="D1",
        change="a body that is none is a bug",
        file="service/http/routes/body.py",
        old="except ValidationError as invalid:\n        if _is_no_json",
        new="except KeyError as invalid:\n        if _is_no_json",
        test="tests/faults/test_mutated_requests.py::test_none_is_answered_with_a_fault_or_not_at_all_or_keeps_memory",
    ),
    Mutant(
        bar="D2",
        change="a wrong app is told from a wrong key",
        file="service/core/encrypted_data.py",
        old='stale_key=reason != "too_old"',
        new='stale_key=reason == "wrong_key"',
        test="tests/api/test_decrypt.py::test_no_mutation_gets_more_than_the_one_answer tests/contracts/test_encrypted_data.py",
    ),
    Mutant(
        bar="D3",
        change="a head may end in anything",
        file="service/http/request.py",
        old="_HEAD.fullmatch(head)",
        new="_HEAD.match(head)",
        test="tests/api/test_framing.py::test_what_is_malformed_is_refused_and_ends_the_connection",
    ),
    Mutant(
        bar="D4",
        change="any number of headers",
        file="service/http/request.py",
        old="_MOST_HEADERS: Final = 100",
        new="_MOST_HEADERS: Final = 100_000",
        test="tests/api/test_framing.py::test_two_hundred_floods_of_headers_at_once_are_refused_and_cut",
    ),
    Mutant(
        bar="D5",
        change="an odd id is a bug",
        file="service/http/session_id.py",
        old="if session_id is None:\n        raise SessionMalformed",
        new="if session_id is None:\n        raise ValueError(given)",
        test="tests/api/test_framing.py::test_odd_bytes_for_an_id_are_refused_and_never_logged",
    ),
    Mutant(
        bar="D6",
        change="bodies of 16 MB",
        file="service/app.py",
        old='"REQUEST_MAX_SIZE": 16 * 1024,',
        new='"REQUEST_MAX_SIZE": 16 * 1024 * 1024,',
        test="tests/api/test_framing.py::test_what_is_larger_than_a_body_may_be_is_refused_before_it_is_read",
    ),
    Mutant(
        bar="D7",
        change="a minute for a head",
        file="service/http/deadlines.py",
        old="head: float = 5.0",
        new="head: float = 60.0",
        test="tests/faults/test_stalled_clients.py::test_two_thousand_drips_and_as_many_stalled_bodies_are_cut_in_time",
    ),
    Mutant(
        bar="D8",
        change="HEAD needs no session",
        file="service/http/middleware.py",
        old="if route is None or getattr",
        new='if route is None or request.method == "HEAD" or getattr',
        test="tests/api/test_guard.py::test_no_spelling_of_a_path_slips_by tests/api/test_guard.py::test_every_other_route_turns_strangers_away",
    ),
    Mutant(
        bar="D9",
        change="what the client wrote counts",
        file="service/http/client_address.py",
        old="reversed(added[-proxies:])",
        new="reversed(added[:1])",
        test="tests/api/test_limits.py::test_what_a_client_wrote_itself_does_not_get_it_past_a_limit",
    ),
    Mutant(
        bar="E1",
        change="an exception's text is logged",
        file="service/wechat/http.py",
        old="fault = name_fault(error)",
        new="fault = str(error)",
        test="tests/faults/test_wechat_faults.py::test_an_error_that_quotes_the_address_is_not_passed_on",
    ),
    Mutant(
        bar="E2",
        change="every nonce is the same",
        file="service/stores/keyring.py",
        old="nonce = secrets.token_bytes(_NONCE_BYTES)",
        new="nonce = bytes(_NONCE_BYTES)",
        test="tests/unit/test_keyring.py::test_two_sealings_of_one_text_differ",
    ),
    Mutant(
        bar="E3",
        change="a bug tells its text",
        file="service/http/middleware.py",
        old="return failure(request, InternalError())",
        new='return failure(request, InternalError(data={"why": str(error)}))',
        test="tests/api/test_answers.py::test_every_error_there_is_has_one_form_and_tells_nothing",
    ),
    Mutant(
        bar="E4",
        change="the ring has one key",
        file="service/stores/keyring.py",
        old="AESGCM(key) for key_id, key in derived}",
        new="AESGCM(key) for key_id, key in derived[:1]}",
        test="tests/faults/test_keys_and_log.py::test_a_key_is_exchanged_under_load_and_nobody_notices",
    ),
    Mutant(
        bar="E6",
        change="certificates are not looked at",
        file="service/redis/connect.py",
        old='checked = settings.redis_tls_verify == "required"',
        new="checked = False",
        test="tests/faults/test_named_causes.py::test_redis",
    ),
    Mutant(
        bar="E7",
        change="a logout of a dead session is logged",
        file="service/core/login.py",
        old="if ended:  #",
        new="if not ended or ended:  #",
        test="tests/faults/test_keys_and_log.py::test_each_login_and_logout_is_a_line_and_nothing_else_is",
    ),
    Mutant(
        bar="E8",
        change="a deletion leaves the session",
        file="service/stores/lua/delete.lua",
        old="redis.call('DEL', KEYS[1])",
        new="redis.call('GET', KEYS[1])",
        test="tests/faults/test_privacy.py::test_who_leaves_leaves_nothing_and_takes_nothing_of_others",
    ),
    Mutant(
        bar="F1",
        change="a tenth of a second to finish in",
        file="service/app.py",
        old='"GRACEFUL_SHUTDOWN_TIMEOUT": 10,',
        new='"GRACEFUL_SHUTDOWN_TIMEOUT": 0.1,',
        test="tests/faults/test_processes.py::test_sigterm_lets_logins_under_way_finish",
    ),
    Mutant(
        bar="F3",
        change="a minute until a worker is replaced",
        file="service/watchdog.py",
        old="if now >= due:",
        new="if now >= due + 60:",
        test="tests/faults/test_processes.py::test_workers_that_are_killed_are_replaced",
    ),
    Mutant(
        bar="F4",
        change="ready whatever Redis says",
        file="service/http/routes/health.py",
        old="whole = await context.services.sessions.ping()",
        new="whole = True",
        test="tests/faults/test_processes.py::test_it_starts_without_redis_and_is_ready_as_soon_as_that_is_there",
    ),
    Mutant(
        bar="G1",
        change="the last one to come has the identity",
        file="service/sql/rows.py",
        old="index_elements=key, set_=unchanged)",
        new='index_elements=key, set_={**unchanged, "user_id": owner})',
        test="tests/contracts/test_user_store.py::test_a_hundred_users_arriving_twenty_times_at_once_are_a_hundred_rows",
    ),
    Mutant(
        bar="G2",
        change="PostgreSQL need not have written it down",
        file="service/sql/postgres.py",
        old='"command_timeout": STATEMENT_SECONDS,',
        new='"command_timeout": STATEMENT_SECONDS,\n                "server_settings": {"synchronous_commit": "off"},',
        test="tests/faults/test_user_faults.py::test_a_killed_database_loses_nobody_who_was_told_that_they_are_in",
    ),
    Mutant(
        bar="G4",
        change="whoever binds a number has it",
        file="service/sql/phone_rows.py",
        old="if row.proven or not proven:",
        new="if row is None:",
        test="tests/contracts/test_user_store.py::test_two_accounts_linking_one_phone_fifty_times_at_once_have_one_owner",
    ),
    Mutant(
        bar="G5",
        change="the pool may overflow",
        file="service/sql/postgres.py",
        old="max_overflow=0,",
        new="max_overflow=50,",
        test="tests/faults/test_cancelled_sql.py",
    ),
    Mutant(
        bar="H1",
        change="counted, and not held to",
        file="service/stores/lua/count.lua",
        old="if refused[1] > 0 or refused[2] > 0 then",
        new="if false then",
        test="tests/api/test_limits.py::test_a_burst_of_logins_passes_exactly_what_is_allowed",
    ),
    Mutant(
        bar="H2",
        change="a code may be claimed twice",
        file="service/stores/lua/claim.lua",
        old="if not value or not stands(value) then",
        new="if true then",
        test="tests/api/test_login.py::test_one_code_sent_ten_times_at_once_goes_to_wechat_once",
    ),
    Mutant(
        bar="H3",
        change="guesses are not counted",
        file="service/http/dead_sessions.py",
        old="if address is None:",
        new="if address:",
        test="tests/faults/test_crowds.py::test_guessers_get_nowhere_and_are_slowed_down",
    ),
    Mutant(
        bar="I1",
        change="installed without hashes",
        file="Makefile",
        old="--require-hashes --only-binary :all: -r",
        new="--only-binary :all: -r",
        test="tests/unit/test_locked_installation.py::test_every_package_has_hashes_and_none_is_for_development",
    ),
    Mutant(
        bar="I3",
        change="the Sanic before",
        file="requirements.txt",
        old="sanic==25.12.1 \\",
        new="sanic==25.12.0 \\",
        test="tests/unit/test_locked_installation.py::test_no_version_is_older_than_what_mended_it",
    ),
)

OTHERWISE: Final = {
    "A8": "with the driver's defaults, in a test of its own",
    "G3": "with a store that says too early that a user is there, in a test of its own",
    "J1": "not tried: what is slow by how much is the machine's to say",
    "J2": "not tried: what is slow by how much is the machine's to say",
}
"""Bars without a mutant, and how else they were seen to fail."""

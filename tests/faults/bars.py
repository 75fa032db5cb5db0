"""What the service must withstand, each with its bar: `make faults` measures them all.

A test says which of them it measures by `@pytest.mark.bar("A1")`, and what it
found by the fixture `figure`. tests/unit/test_bars.py sees to it that none is
without a test or a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GROUPS: Final = {
    "A": "Sessions, whoever asks at the same time",
    "B": "Redis",
    "C": "WeChat",
    "D": "Input and limits of resources",
    "E": "Secrets, keys, privacy",
    "F": "Restarts",
    "G": "Users",
    "H": "Abuse",
    "I": "Dependencies",
    "J": "Speed, while all is well",
    "K": "Outages that end by themselves",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that holds, and the figure below which it does not."""

    id: str
    holds: str
    bar: str
    untested: str = ""
    """Why no test of this repository measures it."""

    @property
    def group(self) -> str:
        """A letter of GROUPS."""
        return self.id[0]


BARS: Final = (
    Bar("A1", "One session per user, as if there were one worker", "0 histories unexplained"),
    Bar("A2", "200 logins of one user at once", "1 id valid each time, 1 key, full time to live"),
    Bar("A3", "A replaced id is refused by every worker at once", "0 of 10,000 tries accepted"),
    Bar("A4", "A session ends when its time is up", "2 s: taken at 1.9 s, refused at 2.5 s"),
    Bar("A5", "A logout of the old id meets the new login", "0 new sessions lost in 1,000 rounds"),
    Bar("A6", "Ids cannot be guessed", "0 of 1,000,000 twice, 256 bits of the system's, one form"),
    Bar("A7", "An id that was not issued is nobody's", "0 of 10,000 taken or adopted, no key made"),
    Bar("A8", "Nobody gets another's answer", "0 wrong; every connection given back"),
    Bar("B1", "Redis is killed", "503 only, within 1 s; well 2 s after its start"),
    Bar("B2", "Redis hangs for 8 s", "503 only, within 1.5 s; under 20 MB more; well 2 s after"),
    Bar(
        "B3", "Redis pauses and freezes at random", "0 histories unexplained, no login lands later"
    ),
    Bar("B4", "Redis closes idle connections", "0 checks of 1,000 notice it, no login runs twice"),
    Bar("B5", "Redis is full", "logins 503, the old session valid, logout works"),
    Bar("B6", "Redis becomes read-only", "changes 503, sessions hold; well 5 s after"),
    Bar("B7", "More requests than connections", "never more than workers x pool; 200 or 503"),
    Bar("B8", "Redis forgets the scripts", "0 errors"),
    Bar("B9", "Primaries of a cluster are killed", "503 only, under 5 s each; 0 wrong, 0 lost"),
    Bar("B10", "Sentinels replace a primary", "under 10 s, without a restart; 0 wrong"),
    Bar("B11", "A failover brings no ended session back", "no `ok` for what no replica has"),
    Bar("B12", "A Redis user with few rights, one server or a cluster", "all it needs, no more"),
    Bar("C1", "Every fault of WeChat's", "its documented answer, 0 x 500, within 5 s, 30 MB"),
    Bar("C2", "Connections to WeChat are reset", "0 codes sent twice"),
    Bar("C3", "WeChat is busy, or says too often", "one more try; none, 429 with Retry-After"),
    Bar(
        "C4", "500 logins hang at WeChat", "p99 of checks <= 1.2 x + 5 ms; more are refused at once"
    ),
    Bar("C5", "Four workers want an access_token", "1 fetch, 1 renewal; taken over within 10 s"),
    Bar("C6", "WeChat's certificate is wrong", "refused, whatever is wrong with it"),
    Bar("D1", "Mutated requests, 20,000", "0 faults, 0 hangs, under 20 MB more"),
    Bar("D2", "Mutated encryptedData, 50,000", "one answer, times within 12 %, 0 x 500"),
    Bar("D3", "Malformed requests", "400 and the end, never two answers"),
    Bar("D4", "Floods of headers", "4xx and the end; 100 headers are taken"),
    Bar("D5", "Odd bytes for an id", "401 or 400, never in the log"),
    Bar("D6", "Bodies that are too large", "413 before they are read"),
    Bar("D7", "200 connections that send a byte a second", "cut within 10 s; p99 of others <= 2 x"),
    Bar("D8", "Every route in every odd spelling", "401, 404 or 405"),
    Bar("D9", "Forged addresses of clients", "what the own proxy added counts, nothing else"),
    Bar("E1", "Secrets in logs, answers, files, command lines", "0 of any in any form"),
    Bar(
        "E2", "Secrets at rest in Redis and SQL", "0; sealed twice it differs, elsewhere it is shut"
    ),
    Bar("E3", "Answers to errors", "one form, id, no-store; no trace, version or host"),
    Bar("E4", "The key of the data is rotated under load", "0 logged out, 0 x 5xx"),
    Bar(
        "E5",
        "The AppSecret is changed, and read again on SIGHUP",
        "0 checks lost; of logins at most 1 once the workers are new",
    ),
    Bar("E6", "Redis by TLS", "refused unless its certificate is good, or that is switched off"),
    Bar("E7", "The log of logins", "one line for each login and logout, no secret in any"),
    Bar("E8", "A user masks, takes along and deletes", "nothing left, nothing of others"),
    Bar("F1", "SIGTERM with logins under way", "0 lost, exit 0 within 10 s"),
    Bar("F2", "Rolling restarts behind balancers, no request repeated", "0 failed of 20,000"),
    Bar("F3", "Workers are killed", "all there again within 5 s; sessions hold; logged"),
    Bar(
        "F4", "Started without Redis, or without settings", "alive within 5 s; or named within 2 s"
    ),
    Bar("F5", "SIGTERM with a crowd, a thread or a task that never ends", "within 10 s"),
    Bar("F6", "Other signals; a worker killed while others start", "the service goes on"),
    Bar("G1", "100 new users, 20 first logins each at once", "100 rows"),
    Bar("G2", "PostgreSQL is killed", "0 lost of those told, 0 twice; well 2 s after"),
    Bar("G3", "The service is killed 200 times in logins", "0 sessions without their user"),
    Bar("G4", "Two accounts bind one number at once", "one has it, the other is told 409"),
    Bar(
        "G5",
        "1,200 tasks are cancelled in SQL",
        "every connection given back, none in a transaction",
    ),
    Bar("H1", "Limits of logins, over all workers", "exact within 1 %, 429 with Retry-After"),
    Bar("H2", "One code ten times at once, and later", "1 call of WeChat's, 1 session, no 500"),
    Bar("H3", "100,000 guessed ids", "0 taken; slowed down; malformed ones never reach Redis"),
    Bar("I1", "The locked installation", "by hashes, wheels only; a changed hash is refused"),
    Bar(
        "I2",
        "Known vulnerabilities of dependencies",
        "0 known, 0 skipped",
        untested="advisories are looked up over the network, and tests reach loopback only",
    ),
    Bar("I3", "The least versions that are safe", "those of the lock, and what runs"),
    Bar("J1", "Checks, 1,000 a second, two workers", "p99 <= 10 ms"),
    Bar("J2", "Logins, 50 ms at WeChat", "p99 <= 50 ms + WeChat's"),
    Bar("K1", "Redis fails over behind one address", "0 logins lost; /readyz true within 2 s"),
    Bar("K2", "PostgreSQL fails over behind one address", "0 users lost; /readyz true within 2 s"),
    Bar("K3", "Connections to PostgreSQL die without a word", "at most 1 request pays"),
    Bar("K4", "A pooler in transaction mode", "0 failed of 96 logins, 12 at once"),
    Bar("K5", "A password is missing or wrong, of sentinels too", "named; right, it serves"),
    Bar("K6", "Two services on one Redis", "1 fetch each of a token; apart by REDIS_PREFIX"),
    Bar("K7", "PostgreSQL restarts, is full, locked, slow", "0 users lost; well within 2 s"),
    Bar("K8", "SQLite is locked, full, read-only", "0 users lost; well within 2 s"),
    Bar("K9", "A part of a cluster is away once a session is written", "the login is answered 200"),
    Bar("K10", "The avatar store is away, hangs, is full", "pictures only; well at once"),
    Bar("K11", "A name is no text", "its user gets in"),
    Bar("K12", "A table of 1,000,000 is migrated, former code beside it", "it works on, < 3.5 s"),
    Bar(
        "K13",
        "Data made with the key of the session before",
        "opens for an hour, of nobody else",
    ),
)

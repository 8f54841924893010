"""Who is calling: an embedded user store (argon2id), short-lived tokens (Ed25519 JWT), roles.

Roles: operator (asks, holds points, all-local), engineer (modes, sites, what-if), approver (signs
with a key of their own; the role only opens the door), auditor (reads everything, changes nothing),
admin (users).
"""

import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.clock import Clock, SystemClock
from graph.errors import InputError, RefusedError

ROLES = ("operator", "engineer", "approver", "auditor", "admin")
ISSUER = "pilothouse"
AUDIENCE = "pilothouse-api"
TOKEN_S = 8 * 3600  # one shift
MIN_PASSWORD = 12
# Five wrong passwords lock a name for a minute: slower than any guessing, shorter than a rota.
LOCK_AFTER, LOCK_S = 5, 60.0


@dataclass(frozen=True)
class Principal:
    """The authenticated caller."""

    name: str
    roles: frozenset[str]


class UserStore:
    """Users in SQLite: name, argon2id hash, roles. Thread safe."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._lock = threading.Lock()
        self._clock = clock or SystemClock()
        self._failures: dict[str, list[float]] = {}
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS user (name TEXT PRIMARY KEY, hash TEXT NOT NULL, "
            "roles TEXT NOT NULL)"
        )
        self._db.commit()

    def first_run_secret(self) -> str | None:
        """Create `admin` with a random password when there is no user yet; returns it once."""
        with self._lock:
            if self._db.execute("SELECT 1 FROM user LIMIT 1").fetchone():
                return None
        secret = secrets.token_urlsafe(18)
        self.add("admin", secret, ("admin", "engineer", "operator", "auditor"))
        return secret

    def add(self, name: str, password: str, roles: tuple[str, ...]) -> None:
        """Create or replace a user. Raises InputError for unknown roles or a short password."""
        unknown = set(roles) - set(ROLES)
        if unknown or not roles:
            raise InputError(
                f"unknown or no roles: {sorted(unknown)}", f"one of {', '.join(ROLES)}"
            )
        if len(password) < MIN_PASSWORD:
            raise InputError("the password is too short", f"use at least {MIN_PASSWORD} characters")
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO user VALUES (?, ?, ?)",
                (name, _hasher().hash(password), ",".join(sorted(roles))),
            )
            self._db.commit()

    def login(self, name: str, password: str) -> Principal:
        """Check a password. The time taken does not tell whether the name exists."""
        now = self._clock.monotonic()
        with self._lock:
            recent = [t for t in self._failures.get(name, []) if now - t < LOCK_S]
            self._failures[name] = recent
            row = self._db.execute(
                "SELECT hash, roles FROM user WHERE name = ?", (name,)
            ).fetchone()
        if len(recent) >= LOCK_AFTER:
            raise RefusedError("locked", "too many wrong passwords", f"wait {LOCK_S:.0f} s")
        known = row[0] if row else _decoy()
        if not _hasher().verify(password, known) or row is None:
            with self._lock:
                self._failures[name].append(now)
            raise RefusedError("unauthenticated", "name or password is wrong", "")
        return Principal(name, frozenset(row[1].split(",")))

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _hasher() -> Any:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


_DECOY: list[str] = []


def _decoy() -> str:
    if not _DECOY:
        _DECOY.append(_hasher().hash(secrets.token_urlsafe(16)))
    return _DECOY[0]


class Tokens:
    """Issues and checks bearer tokens; the algorithm is pinned, and an end is demanded."""

    def __init__(self, clock: Clock | None = None) -> None:
        from joserfc.jwk import OKPKey

        self._key = OKPKey.generate_key("Ed25519")  # a restart ends every session, by design
        self._clock = clock or SystemClock()

    def issue(self, principal: Principal) -> str:
        """A token for `TOKEN_S` seconds."""
        from joserfc import jwt

        now = int(self._clock.now().timestamp())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": principal.name, "iat": now, "exp": now + TOKEN_S,
            "roles": sorted(principal.roles),
        }  # fmt: skip
        return str(jwt.encode({"alg": "Ed25519"}, claims, self._key, algorithms=["Ed25519"]))

    def check(self, token: str) -> Principal:
        """The caller behind a token. Raises RefusedError."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            decoded = jwt.decode(token, self._key, algorithms=["Ed25519"])
            rules = jwt.JWTClaimsRegistry(
                now=int(self._clock.now().timestamp()),
                iss={"essential": True, "value": ISSUER},
                aud={"essential": True, "value": AUDIENCE},
                exp={"essential": True},
            )
            rules.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise RefusedError(
                "unauthenticated", "the token is not valid", "log in again"
            ) from error
        return Principal(str(decoded.claims["sub"]), frozenset(decoded.claims["roles"]))

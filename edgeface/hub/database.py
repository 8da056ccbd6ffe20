"""Database: connections to the hub's PostgreSQL, and its tables brought up to date.

Takes in a URL, hands on a psycopg connection. What goes wrong on the way is one sentence without
the password that the URL may hold. It knows no table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeface.errors import ConfigError

if TYPE_CHECKING:
    from psycopg import Connection

OLDEST = 150_000  # PostgreSQL 15, as libpq counts
_MIGRATION = 0x45444745  # the advisory lock: one process at a time migrates


@contextmanager
def connect(url: str) -> Iterator[Connection[Any]]:
    """A connection, whose changes are kept when the block ends without an error.

    Raises ConfigError for a database that cannot be reached, is too old, or refuses what it is
    asked.
    """
    try:
        import psycopg
    except ImportError:
        raise ConfigError("the hub is not installed; run: pip install 'edgeface[hub]'") from None
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except psycopg.Error:  # whose text quotes the URL
        raise ConfigError(
            "the hub's --database is no URL of a PostgreSQL; write it as "
            "postgresql://user@host/database"
        ) from None
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            if connection.info.server_version < OLDEST:
                raise ConfigError(
                    f"the hub's database is PostgreSQL {connection.info.server_version // 10_000}; "
                    f"use {OLDEST // 10_000} or newer"
                )
            yield connection
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
        raise ConfigError(
            "the hub's database has no register, or one of an earlier version; run: "
            "edgeface hub init"
        ) from None
    except psycopg.OperationalError as error:
        raise ConfigError(
            f"the hub's database cannot be reached ({_line(error)}); check --database"
        ) from None
    except psycopg.Error as error:
        raise ConfigError(
            f"the hub's database refused ({_line(error)}); nothing was changed"
        ) from None


def migrate(url: str) -> str:
    """Bring the tables up to date; returns their revision. Raises ConfigError as `connect`."""
    with connect(url) as connection:
        try:
            from alembic import command
            from alembic.config import Config
            from alembic.script import ScriptDirectory
            from sqlalchemy import create_engine
            from sqlalchemy.pool import StaticPool
        except ImportError:
            raise ConfigError(
                "the hub is not installed; run: pip install 'edgeface[hub]'"
            ) from None
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION])
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
        )
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with engine.connect() as shared:
            config.attributes["connection"] = shared
            command.upgrade(config, "head")
            shared.commit()
        return str(ScriptDirectory.from_config(config).get_current_head())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

"""Alembic's entry: runs the migrations on the connection that `edgeface.hub.database` hands over.

It opens nothing and decides nothing. This folder is no package, since Alembic alone may run it.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="migration")
context.run_migrations()

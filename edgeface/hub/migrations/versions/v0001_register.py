"""The register: sites, people, templates, doors, who may use which door, and what each door was
sent; with row-level security, so that a door's credential reads what its own site needs."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE SCHEMA edgeface;
CREATE SEQUENCE edgeface.version;
CREATE TABLE edgeface.site (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE edgeface.person (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id bigint NOT NULL REFERENCES edgeface.site,
    name text NOT NULL UNIQUE,
    consent text NOT NULL DEFAULT '',
    added timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE edgeface.template (
    person_id bigint NOT NULL REFERENCES edgeface.person ON DELETE CASCADE,
    model text NOT NULL,
    sealed bytea NOT NULL,
    version bigint NOT NULL DEFAULT nextval('edgeface.version'),
    PRIMARY KEY (person_id, model)
);
CREATE TABLE edgeface.door (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id bigint NOT NULL REFERENCES edgeface.site,
    name text NOT NULL UNIQUE,
    model text NOT NULL,
    numbers integer NOT NULL,
    token_sha256 bytea NOT NULL UNIQUE,
    generation bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    acknowledged bigint NOT NULL DEFAULT 0,
    seen timestamptz
);
CREATE TABLE edgeface.access (
    person_id bigint NOT NULL REFERENCES edgeface.person ON DELETE CASCADE,
    door_id bigint NOT NULL REFERENCES edgeface.door ON DELETE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (person_id, door_id)
);
CREATE INDEX access_door ON edgeface.access (door_id);
CREATE TABLE edgeface.sent (
    door_id bigint NOT NULL REFERENCES edgeface.door ON DELETE CASCADE,
    name text NOT NULL,
    version bigint,
    generation bigint NOT NULL,
    PRIMARY KEY (door_id, name)
);
COMMENT ON COLUMN edgeface.sent.version IS 'of the template that the door has; NULL: removed';
"""

# The token itself opens the rows, not a number that whoever reaches the database could set.
_CREDENTIAL = """
CREATE FUNCTION edgeface.caller() RETURNS bigint STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp LANGUAGE sql AS $$
    SELECT id FROM edgeface.door
    WHERE token_sha256 = sha256(convert_to(current_setting('edgeface.token', true), 'UTF8'))
$$;
CREATE FUNCTION edgeface.caller_site() RETURNS bigint STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp LANGUAGE sql AS $$
    SELECT site_id FROM edgeface.door WHERE id = edgeface.caller()
$$;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'edgeface_door') THEN
        CREATE ROLE edgeface_door NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT edgeface_door TO CURRENT_USER;
GRANT USAGE ON SCHEMA edgeface TO edgeface_door;
GRANT SELECT ON edgeface.site, edgeface.person, edgeface.template, edgeface.access
    TO edgeface_door;
GRANT SELECT (id, site_id, name, model, numbers, generation, floor, acknowledged, seen),
    UPDATE (generation, floor, acknowledged, seen) ON edgeface.door TO edgeface_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON edgeface.sent TO edgeface_door;
"""

_POLICIES = {
    "site": "FOR SELECT TO edgeface_door USING (id = (SELECT edgeface.caller_site()))",
    "door": "FOR ALL TO edgeface_door USING (id = (SELECT edgeface.caller()))",
    "access": "FOR SELECT TO edgeface_door USING (door_id = (SELECT edgeface.caller()))",
    "person": "FOR SELECT TO edgeface_door USING (site_id = (SELECT edgeface.caller_site())"
    " OR EXISTS (SELECT FROM edgeface.access WHERE person_id = person.id))",
    "template": "FOR SELECT TO edgeface_door USING"
    " (EXISTS (SELECT FROM edgeface.person WHERE id = person_id))",
    "sent": "FOR ALL TO edgeface_door USING (door_id = (SELECT edgeface.caller()))",
}


def upgrade() -> None:
    """Make everything."""
    op.execute(_TABLES)
    op.execute(_CREDENTIAL)
    for table, rule in _POLICIES.items():
        op.execute(f"ALTER TABLE edgeface.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY door ON edgeface.{table} {rule}")

-- Migrations are forward-only and checksummed. They run one at a time per schema.

-- name: migration.applied
-- What has been applied, oldest first.
select version, title, checksum from strandline.ing_schema_migration order by version;

-- name: migration.exists
-- Whether the schema has a record of migrations at all ($1 its qualified name as text).
select to_regclass($1) is not null as known;

-- name: migration.lock
-- One migrator at a time ($1 schema name); freed by the end of the transaction.
select pg_advisory_xact_lock(hashtextextended('strandline.migrate ' || $1, 0));

-- name: migration.record
-- Writes what was applied: $1 version, $2 title, $3 checksum, $4 milliseconds it took.
insert into strandline.ing_schema_migration (version, title, checksum, duration_ms) values ($1, $2, $3, $4);

-- name: migration.record_text
-- The same as text for an administrator to run, with literals in its {places}: {version}, {title}, {checksum}.
insert into strandline.ing_schema_migration (version, title, checksum, duration_ms) values ({version}, {title}, {checksum}, 0);

-- name: migration.schema
-- Makes the schema itself ({schema}).
create schema if not exists {schema};

-- name: migration.table
-- Makes the record of migrations.
create table if not exists strandline.ing_schema_migration (
  version integer primary key,
  title text not null,
  checksum text not null,
  duration_ms bigint not null,
  actor text not null default session_user,
  created_at timestamptz not null default clock_timestamp()
);

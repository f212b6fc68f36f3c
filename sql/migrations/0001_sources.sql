-- The ground: dictionaries, the installation, sources and streams. Everything lies in one schema; one tenant = one schema.

-- Dictionaries -------------------------------------------------------------------------------------------------------

create table strandline.ing_dict_type (
  type_code text primary key check (type_code ~ '^[a-z][a-z0-9_]*$'),
  description text not null,
  extensible boolean not null,
  created_at timestamptz not null default now()
);
comment on table strandline.ing_dict_type is 'Kinds of codes. Extensible kinds grow by INSERT; the others are fixed by the state machines.';
comment on column strandline.ing_dict_type.type_code is 'Name of the dictionary, lower snake case.';
comment on column strandline.ing_dict_type.description is 'What its codes mean, one sentence.';
comment on column strandline.ing_dict_type.extensible is 'True where users may add items; false where the state machines fix them.';
comment on column strandline.ing_dict_type.created_at is 'When the row was written.';

create table strandline.ing_dict_item (
  type_code text not null references strandline.ing_dict_type,
  item_code text not null check (item_code ~ '^[A-Z][A-Z0-9_]*$'),
  description text not null,
  is_default boolean not null default false,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  primary key (type_code, item_code)
);
create unique index ing_dict_item_default on strandline.ing_dict_item (type_code) where is_default and enabled;
comment on table strandline.ing_dict_item is 'The valid codes of each kind. A code is never renamed; it is disabled instead.';
comment on column strandline.ing_dict_item.type_code is 'The dictionary that the code belongs to.';
comment on column strandline.ing_dict_item.item_code is 'The code as stored in the ledger, upper snake case.';
comment on column strandline.ing_dict_item.description is 'What the code means, one sentence.';
comment on column strandline.ing_dict_item.is_default is 'Used where none is given; one enabled default per dictionary at most.';
comment on column strandline.ing_dict_item.enabled is 'False: refused for new rows, still readable in old ones.';
comment on column strandline.ing_dict_item.created_at is 'When the row was written.';

create table strandline.ing_dict_alias (
  type_code text not null,
  source_system text not null,
  external_code text not null,
  item_code text not null,
  created_at timestamptz not null default now(),
  primary key (type_code, source_system, external_code),
  foreign key (type_code, item_code) references strandline.ing_dict_item
);
comment on table strandline.ing_dict_alias is 'Spellings of other systems for our codes.';
comment on column strandline.ing_dict_alias.type_code is 'The dictionary of the code.';
comment on column strandline.ing_dict_alias.source_system is 'Who spells it so; * for anybody.';
comment on column strandline.ing_dict_alias.external_code is 'The foreign spelling, matched exactly.';
comment on column strandline.ing_dict_alias.item_code is 'Our code.';
comment on column strandline.ing_dict_alias.created_at is 'When the row was written.';

insert into strandline.ing_dict_type (type_code, description, extensible) values
  ('operation', 'What is done to a source.', true),
  ('trigger_type', 'What asked for an ingestion.', true),
  ('scheduler', 'Which scheduler a trigger comes from.', true),
  ('slice_strategy', 'How a window is cut into slices.', true),
  ('namespace_scope', 'What tells two cursors of one target apart.', true),
  ('cursor_type', 'What the bounds of a cursor count.', false),
  ('cursor_direction', 'What an event did to the watermark.', false),
  ('task_kind', 'What a task does.', false),
  ('plan_status', 'States of a plan.', false),
  ('task_status', 'States of a task, and of its slice.', false),
  ('run_status', 'States of a run.', false),
  ('batch_status', 'States of a batch.', false),
  ('worker_status', 'States of a worker.', false);

insert into strandline.ing_dict_item (type_code, item_code, description, is_default) values
  ('operation', 'HARVEST', 'Reads forward from the watermark.', true),
  ('operation', 'BACKFILL', 'Fills holes, in the namespace of HARVEST.', false),
  ('operation', 'UPDATE', 'Refreshes what is already here.', false),
  ('operation', 'METRICS', 'Reads figures about records.', false),
  ('operation', 'SNAPSHOT', 'Lists everything, in generations.', false),
  ('trigger_type', 'MANUAL', 'A person or a script.', true),
  ('trigger_type', 'SCHEDULE', 'A scheduler at its time.', false),
  ('trigger_type', 'API', 'Another program.', false),
  ('trigger_type', 'RETRY', 'A repeated trigger.', false),
  ('scheduler', 'MANUAL', 'No scheduler: each call is a trigger of its own.', true),
  ('scheduler', 'AIRFLOW', 'Apache Airflow.', false),
  ('scheduler', 'CRON', 'A cron-like daemon.', false),
  ('scheduler', 'INTERNAL', 'strandline itself.', false),
  ('slice_strategy', 'SINGLE', 'One slice.', true),
  ('slice_strategy', 'TIME', 'Steps of a duration or a calendar unit, aligned in a time zone.', false),
  ('slice_strategy', 'DATE', 'Whole calendar days in a time zone.', false),
  ('slice_strategy', 'ID', 'Ranges of integers.', false),
  ('slice_strategy', 'CURSOR', 'One open slice, walked by token.', false),
  ('slice_strategy', 'BUDGET', 'Bisected until the provider''s estimate fits.', false),
  ('slice_strategy', 'CUSTOM', 'Cut by the provider.', false),
  ('namespace_scope', 'GLOBAL', 'One cursor for the target.', true),
  ('namespace_scope', 'EXPR', 'One cursor per parameters and expression.', false),
  ('namespace_scope', 'CUSTOM', 'One cursor per key that the caller names.', false),
  ('cursor_type', 'TIME', 'Microseconds since 1970-01-01T00:00Z.', true),
  ('cursor_type', 'ID', 'An integer id.', false),
  ('cursor_type', 'TOKEN', 'Ordinals of a walk by token.', false),
  ('cursor_direction', 'FORWARD', 'The watermark grew.', false),
  ('cursor_direction', 'BACKFILL', 'Coverage grew, the watermark did not.', false),
  ('cursor_direction', 'REWIND', 'An operator moved the watermark back.', false),
  ('cursor_direction', 'IGNORED', 'Coverage of an older generation; nothing moved.', false),
  ('cursor_direction', 'PRUNED', 'Older events were dropped; this one carries their state.', false),
  ('task_kind', 'SLICE', 'Loads one slice of a window.', true),
  ('task_kind', 'VALUE', 'Loads a value that the caller holds.', false),
  ('plan_status', 'ACTIVE', 'Has tasks that are not over.', true),
  ('plan_status', 'SUCCEEDED', 'Every task succeeded, or there was nothing to do.', false),
  ('plan_status', 'PARTIAL', 'Some tasks succeeded, some did not.', false),
  ('plan_status', 'FAILED', 'No task succeeded and one failed.', false),
  ('plan_status', 'CANCELLED', 'Every task was cancelled.', false),
  ('task_status', 'QUEUED', 'Waits for a worker.', true),
  ('task_status', 'RUNNING', 'A run holds its lease.', false),
  ('task_status', 'SUCCEEDED', 'Every page is committed.', false),
  ('task_status', 'FAILED', 'Given up; retry reopens it.', false),
  ('task_status', 'CANCELLED', 'Ended by request; retry reopens it.', false),
  ('run_status', 'PLANNED', 'Leased, nothing committed yet.', true),
  ('run_status', 'RUNNING', 'Alive: it committed a page or renewed its lease.', false),
  ('run_status', 'SUCCEEDED', 'Committed its last page.', false),
  ('run_status', 'YIELDED', 'Gave the task back.', false),
  ('run_status', 'FAILED', 'Ended by an error.', false),
  ('run_status', 'CANCELLED', 'Ended by request.', false),
  ('run_status', 'LOST', 'Its lease passed and was reaped.', false),
  ('batch_status', 'RUNNING', 'Prepared at an external destination.', false),
  ('batch_status', 'SUCCEEDED', 'Committed.', true),
  ('batch_status', 'FAILED', 'An external destination refused it.', false),
  ('batch_status', 'SKIPPED', 'An operator passed over it.', false),
  ('worker_status', 'ACTIVE', 'Working or waiting for work.', true),
  ('worker_status', 'STOPPED', 'Ended by itself.', false);

insert into strandline.ing_dict_alias (type_code, source_system, external_code, item_code) values
  ('operation', '*', 'harvest', 'HARVEST'),
  ('operation', '*', 'backfill', 'BACKFILL'),
  ('slice_strategy', '*', 'ID_RANGE', 'ID'),
  ('slice_strategy', '*', 'CURSOR_LANDMARK', 'CURSOR'),
  ('slice_strategy', '*', 'VOLUME_BUDGET', 'BUDGET'),
  ('trigger_type', 'airflow', 'scheduled', 'SCHEDULE'),
  ('trigger_type', 'airflow', 'manual', 'MANUAL'),
  ('trigger_type', 'airflow', 'backfill', 'SCHEDULE');

-- The installation ---------------------------------------------------------------------------------------------------

create table strandline.ing_instance (
  only_row boolean primary key default true check (only_row),
  instance_uuid uuid not null default gen_random_uuid(),
  created_by_version text not null default '',
  created_at timestamptz not null default now()
);
comment on table strandline.ing_instance is 'One row: which installation this is, so that a restored copy can be noticed.';
comment on column strandline.ing_instance.only_row is 'Always true: the key that allows a single row.';
comment on column strandline.ing_instance.instance_uuid is 'Identity of the installation; goes into external commit keys.';
comment on column strandline.ing_instance.created_by_version is 'PostgreSQL version that the schema was created on.';
comment on column strandline.ing_instance.created_at is 'When the row was written.';
insert into strandline.ing_instance (created_by_version) values (current_setting('server_version'));

-- Sources and streams ------------------------------------------------------------------------------------------------

create table strandline.ing_provenance (
  provenance_code text primary key,
  provider_reference text not null,
  provider_version text not null,
  source_digest bytea,
  config json not null,
  config_hash bytea not null,
  enabled boolean not null default true,
  paused boolean not null default false,
  labels jsonb not null default '{}',
  owner text,
  description text,
  actor text not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table strandline.ing_provenance is 'Registered sources: a provider and its configuration.';
comment on column strandline.ing_provenance.provenance_code is 'The provider''s name.';
comment on column strandline.ing_provenance.provider_reference is 'Where the class is: package.module:Class, or local: for a class that only its process knows.';
comment on column strandline.ing_provenance.provider_version is 'The provider''s own version text.';
comment on column strandline.ing_provenance.source_digest is 'SHA-256 of the provider''s source text where it can be read.';
comment on column strandline.ing_provenance.config is 'Its fields as JSON; secrets by reference only.';
comment on column strandline.ing_provenance.config_hash is 'SHA-256 of the canonical form of config.';
comment on column strandline.ing_provenance.enabled is 'False: no new plan.';
comment on column strandline.ing_provenance.paused is 'True: its tasks are held.';
comment on column strandline.ing_provenance.labels is 'Free key-value pairs of the owner.';
comment on column strandline.ing_provenance.owner is 'Who answers for it.';
comment on column strandline.ing_provenance.description is 'What it is, for people.';
comment on column strandline.ing_provenance.actor is 'Who changed it last.';
comment on column strandline.ing_provenance.version is 'Counts changes.';
comment on column strandline.ing_provenance.created_at is 'When the row was written.';
comment on column strandline.ing_provenance.updated_at is 'When the row was last changed.';

create table strandline.ing_connection (
  id bigint generated always as identity primary key,
  provenance_code text not null references strandline.ing_provenance,
  destination text not null default 'postgresql',
  labels jsonb not null default '{}',
  owner text,
  description text,
  actor text not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (provenance_code, destination)
);
comment on table strandline.ing_connection is 'A stored pipe: one provenance into one destination.';
comment on column strandline.ing_connection.id is 'Identity.';
comment on column strandline.ing_connection.provenance_code is 'The source.';
comment on column strandline.ing_connection.destination is 'Where rows land; postgresql is this database.';
comment on column strandline.ing_connection.labels is 'Free key-value pairs of the owner.';
comment on column strandline.ing_connection.owner is 'Who answers for it.';
comment on column strandline.ing_connection.description is 'What it is, for people.';
comment on column strandline.ing_connection.actor is 'Who changed it last.';
comment on column strandline.ing_connection.version is 'Counts changes.';
comment on column strandline.ing_connection.created_at is 'When the row was written.';
comment on column strandline.ing_connection.updated_at is 'When the row was last changed.';

create table strandline.ing_stream (
  id bigint generated always as identity primary key,
  connection_id bigint not null references strandline.ing_connection,
  stream text not null,
  target_schema text not null,
  target_table text not null,
  write_mode text not null check (write_mode in ('append', 'merge')),
  primary_key text[] not null default '{}',
  cursor_field text,
  columns json,
  contract jsonb not null default '{}',
  labels jsonb not null default '{}',
  owner text,
  description text,
  actor text not null,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (connection_id, stream, target_schema, target_table)
);
comment on table strandline.ing_stream is 'One table''s worth of records in a connection.';
comment on column strandline.ing_stream.id is 'Identity.';
comment on column strandline.ing_stream.connection_id is 'The connection it belongs to.';
comment on column strandline.ing_stream.stream is 'Its name in the provider.';
comment on column strandline.ing_stream.target_schema is 'Schema of the target table.';
comment on column strandline.ing_stream.target_table is 'Name of the target table.';
comment on column strandline.ing_stream.write_mode is 'append or merge.';
comment on column strandline.ing_stream.primary_key is 'Columns that identify a row; empty for none.';
comment on column strandline.ing_stream.cursor_field is 'Column that tells which of two rows is newer.';
comment on column strandline.ing_stream.columns is 'Declared columns [[name, SQL type, required], ...]; null where they are inferred.';
comment on column strandline.ing_stream.contract is 'What happens to rows outside the declared columns.';
comment on column strandline.ing_stream.labels is 'Free key-value pairs of the owner.';
comment on column strandline.ing_stream.owner is 'Who answers for it.';
comment on column strandline.ing_stream.description is 'What it is, for people.';
comment on column strandline.ing_stream.actor is 'Who changed it last.';
comment on column strandline.ing_stream.version is 'Counts changes.';
comment on column strandline.ing_stream.created_at is 'When the row was written.';
comment on column strandline.ing_stream.updated_at is 'When the row was last changed.';

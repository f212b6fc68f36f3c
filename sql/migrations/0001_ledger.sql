-- The ledger: dictionaries, sources and streams, the chain trigger -> plan -> slice -> task -> run -> batch -> event -> cursor,
-- coverage and its merged intervals, limits, workers, audit. Everything lies in one schema; one tenant = one schema.
-- Hot tables carry no foreign keys to cursor, plan or provenance: the key-share locks of such keys would make a page's commit
-- wait for a planner. `strandline verify` checks what those keys would.

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

-- The chain ----------------------------------------------------------------------------------------------------------

create table strandline.ing_schedule_instance (
  id bigint generated always as identity primary key,
  provenance_code text not null,
  scheduler_code text not null,
  scheduler_job_id text not null,
  scheduler_log_id text not null,
  trigger_type_code text not null,
  triggered_at timestamptz not null default clock_timestamp(),
  trigger_params json not null,
  request_hash bytea not null,
  provenance_config_snapshot json not null,
  provenance_config_hash bytea not null,
  expr_proto_snapshot json,
  expr_proto_hash bytea,
  actor text not null,
  created_at timestamptz not null default now(),
  unique (scheduler_code, scheduler_job_id, scheduler_log_id)
);
comment on table strandline.ing_schedule_instance is 'The root of one external trigger, with everything that it asked for, frozen.';
comment on column strandline.ing_schedule_instance.id is 'Identity.';
comment on column strandline.ing_schedule_instance.provenance_code is 'The source.';
comment on column strandline.ing_schedule_instance.scheduler_code is 'Which scheduler fired.';
comment on column strandline.ing_schedule_instance.scheduler_job_id is 'The job there.';
comment on column strandline.ing_schedule_instance.scheduler_log_id is 'One firing of the job; a manual trigger draws a fresh one.';
comment on column strandline.ing_schedule_instance.trigger_type_code is 'What kind of trigger it was.';
comment on column strandline.ing_schedule_instance.triggered_at is 'When it fired; an open window ends here, less the lag.';
comment on column strandline.ing_schedule_instance.trigger_params is 'The request as it was made.';
comment on column strandline.ing_schedule_instance.request_hash is 'SHA-256 of the request: the same trigger with another request is refused.';
comment on column strandline.ing_schedule_instance.provenance_config_snapshot is 'Provider reference, version and configuration at that moment.';
comment on column strandline.ing_schedule_instance.provenance_config_hash is 'SHA-256 of the canonical form of that snapshot.';
comment on column strandline.ing_schedule_instance.expr_proto_snapshot is 'The filter expression at that moment, before it is localised to a slice.';
comment on column strandline.ing_schedule_instance.expr_proto_hash is 'SHA-256 of the canonical form of that expression.';
comment on column strandline.ing_schedule_instance.actor is 'Who triggered.';
comment on column strandline.ing_schedule_instance.created_at is 'When the row was written.';

create table strandline.ing_plan (
  id bigint generated always as identity primary key,
  plan_key bytea not null unique,
  schedule_instance_id bigint not null references strandline.ing_schedule_instance,
  stream_id bigint not null references strandline.ing_stream,
  cursor_id bigint,
  provenance_code text not null,
  operation_code text not null,
  slice_strategy_code text not null,
  slice_params json not null,
  window_from bigint,
  window_to bigint,
  window_spec json not null,
  time_zone text not null,
  expr_proto_hash bytea,
  generation bigint not null,
  total_slices bigint not null,
  status_code text not null,
  reason_code text,
  reason text,
  finished_at timestamptz,
  created_at timestamptz not null default now()
);
create index ing_plan_cursor on strandline.ing_plan (cursor_id);
create index ing_plan_instance on strandline.ing_plan (schedule_instance_id);
comment on table strandline.ing_plan is 'One total window and the way it is cut; the group of its tasks. Never executed itself.';
comment on column strandline.ing_plan.id is 'Identity.';
comment on column strandline.ing_plan.plan_key is 'SHA-256 of trigger identity, stream and part: a repeated trigger finds its own plan.';
comment on column strandline.ing_plan.schedule_instance_id is 'The trigger.';
comment on column strandline.ing_plan.stream_id is 'The stream.';
comment on column strandline.ing_plan.cursor_id is 'The namespace; null for a value, which has no window.';
comment on column strandline.ing_plan.provenance_code is 'The source.';
comment on column strandline.ing_plan.operation_code is 'What is done.';
comment on column strandline.ing_plan.slice_strategy_code is 'How the window is cut.';
comment on column strandline.ing_plan.slice_params is 'Parameters of that strategy, canonical.';
comment on column strandline.ing_plan.window_from is 'Inclusive lower bound of the window, in the cursor''s unit.';
comment on column strandline.ing_plan.window_to is 'Exclusive upper bound.';
comment on column strandline.ing_plan.window_spec is 'The window as it was asked for and where each bound came from.';
comment on column strandline.ing_plan.time_zone is 'Zone in which slices are aligned.';
comment on column strandline.ing_plan.expr_proto_hash is 'Identity of the filter expression.';
comment on column strandline.ing_plan.generation is 'Generation of the cursor that is planned in.';
comment on column strandline.ing_plan.total_slices is 'How many slices were cut or reopened.';
comment on column strandline.ing_plan.status_code is 'State; derived from the tasks when none is left.';
comment on column strandline.ing_plan.reason_code is 'Why it is empty, capped or closed.';
comment on column strandline.ing_plan.reason is 'The same for people.';
comment on column strandline.ing_plan.finished_at is 'When it was closed.';
comment on column strandline.ing_plan.created_at is 'When the row was written.';

create table strandline.ing_plan_slice (
  id bigint generated always as identity primary key,
  plan_id bigint not null,
  slice_no bigint not null,
  slice_signature bytea not null,
  slice_spec json not null,
  lo bigint,
  hi bigint,
  expr_hash bytea,
  expr_snapshot json,
  superseded boolean not null default false,
  created_at timestamptz not null default now()
);
create index ing_plan_slice_plan on strandline.ing_plan_slice (plan_id, slice_no);
comment on table strandline.ing_plan_slice is 'A half-open part of a plan''s window. Its status is its task''s.';
comment on column strandline.ing_plan_slice.id is 'Identity.';
comment on column strandline.ing_plan_slice.plan_id is 'The plan that first cut it.';
comment on column strandline.ing_plan_slice.slice_no is 'Position in that plan, from 1; ing_plan.total_slices has the number of all.';
comment on column strandline.ing_plan_slice.slice_signature is 'SHA-256 of namespace, strategy, spec and generation.';
comment on column strandline.ing_plan_slice.slice_spec is 'Its bounds as text, canonical.';
comment on column strandline.ing_plan_slice.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_plan_slice.hi is 'Exclusive upper bound.';
comment on column strandline.ing_plan_slice.expr_hash is 'Identity of the localised expression.';
comment on column strandline.ing_plan_slice.expr_snapshot is 'The plan''s expression AND the slice''s range; null where the plan has none.';
comment on column strandline.ing_plan_slice.superseded is 'True when its window was cut anew.';
comment on column strandline.ing_plan_slice.created_at is 'When the row was written.';

create table strandline.ing_task (
  id bigint generated always as identity primary key,
  idempotent_key bytea not null,
  kind_code text not null default 'SLICE',
  plan_id bigint not null,
  slice_id bigint not null,
  cursor_id bigint,
  generation bigint not null,
  lo bigint,
  hi bigint,
  provenance_code text not null,
  operation_code text not null,
  credential text,
  params json,
  expr_hash bytea,
  priority smallint not null default 5 check (priority between 1 and 9),
  pool text not null default 'default',
  mutex_key text,
  labels jsonb,
  unmet integer not null default 0 check (unmet >= 0),
  mutex_waiting boolean not null default false,
  held boolean not null default false,
  cancel_requested_at timestamptz,
  attempt_no integer not null default 1,
  walk_no integer not null default 1,
  batch_no integer not null default 0,
  failures integer not null default 0,
  losses integer not null default 0,
  max_attempts integer not null default 5,
  max_losses integer not null default 10,
  scheduled_at timestamptz not null default clock_timestamp(),
  deadline_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  status_code text not null default 'QUEUED',
  reason_code text,
  last_error jsonb,
  created_at timestamptz not null default now()
);
create unique index ing_task_key on strandline.ing_task (idempotent_key);
create index ing_task_claim on strandline.ing_task (pool, priority, scheduled_at, id)
  where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;
create index ing_task_claim_plan on strandline.ing_task (plan_id, priority, scheduled_at, id)
  where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;
create index ing_task_window on strandline.ing_task (cursor_id, generation, lo) where status_code <> 'SUCCEEDED';
create index ing_task_plan on strandline.ing_task (plan_id, status_code);
create index ing_task_deadline on strandline.ing_task (deadline_at) where status_code = 'QUEUED' and deadline_at is not null;
create index ing_task_mutex on strandline.ing_task (mutex_key, priority, scheduled_at, id)
  where mutex_waiting and status_code = 'QUEUED' and unmet = 0 and not held;
comment on table strandline.ing_task is 'The work for one slice or one value: idempotent key, priority, schedule, retries, limits.';
comment on column strandline.ing_task.id is 'Identity; run, batch and coverage are partitioned by it.';
comment on column strandline.ing_task.idempotent_key is 'SHA-256 of kind, slice signature, expression and normalised parameters.';
comment on column strandline.ing_task.kind_code is 'What it does.';
comment on column strandline.ing_task.plan_id is 'The plan that works on it now.';
comment on column strandline.ing_task.slice_id is 'Its slice.';
comment on column strandline.ing_task.cursor_id is 'Its namespace; null for a value.';
comment on column strandline.ing_task.generation is 'Generation of the namespace.';
comment on column strandline.ing_task.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_task.hi is 'Exclusive upper bound.';
comment on column strandline.ing_task.provenance_code is 'The source.';
comment on column strandline.ing_task.operation_code is 'What is done.';
comment on column strandline.ing_task.credential is 'Name of the secret reference that it needs; never the secret.';
comment on column strandline.ing_task.params is 'Parameters of the request; null for none.';
comment on column strandline.ing_task.expr_hash is 'Identity of the localised expression.';
comment on column strandline.ing_task.priority is '1 first to 9 last.';
comment on column strandline.ing_task.pool is 'Which workers may claim it.';
comment on column strandline.ing_task.mutex_key is 'Tasks of one key take turns.';
comment on column strandline.ing_task.labels is 'Free key-value pairs.';
comment on column strandline.ing_task.unmet is 'How many dependencies are not satisfied.';
comment on column strandline.ing_task.mutex_waiting is 'Waits to be admitted by its mutex.';
comment on column strandline.ing_task.held is 'Paused by an operator.';
comment on column strandline.ing_task.cancel_requested_at is 'When cancelling was asked for; read by every move back to QUEUED.';
comment on column strandline.ing_task.attempt_no is 'Number of the current or next run; only grows.';
comment on column strandline.ing_task.walk_no is 'Number of the current pass over the pages.';
comment on column strandline.ing_task.batch_no is 'Pages committed, as of the last run that ended.';
comment on column strandline.ing_task.failures is 'Failed runs since a page was committed.';
comment on column strandline.ing_task.losses is 'Lost leases since a page was committed.';
comment on column strandline.ing_task.max_attempts is 'Failures after which it is given up.';
comment on column strandline.ing_task.max_losses is 'Lost leases after which it is given up.';
comment on column strandline.ing_task.scheduled_at is 'Not before this time; never earlier than the moment it became claimable.';
comment on column strandline.ing_task.deadline_at is 'Not claimed after this time.';
comment on column strandline.ing_task.started_at is 'First claim.';
comment on column strandline.ing_task.finished_at is 'Last end.';
comment on column strandline.ing_task.status_code is 'State.';
comment on column strandline.ing_task.reason_code is 'Why it waits or ended.';
comment on column strandline.ing_task.last_error is 'The last failure: kind, message, where.';
comment on column strandline.ing_task.created_at is 'When the row was written.';

create table strandline.ing_task_dependency (
  task_id bigint not null,
  requires_task_id bigint not null,
  kind_code text not null default 'ALL_SUCCEEDED' check (kind_code in ('ALL_SUCCEEDED', 'ALL_RESOLVED')),
  satisfied boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (task_id, requires_task_id),
  check (requires_task_id < task_id)
);
create index ing_task_dependency_children on strandline.ing_task_dependency (requires_task_id) where not satisfied;
comment on table strandline.ing_task_dependency is 'Edges between tasks; a parent''s id is smaller, so that no cycle can exist.';
comment on column strandline.ing_task_dependency.task_id is 'The task that waits.';
comment on column strandline.ing_task_dependency.requires_task_id is 'The task that it waits for.';
comment on column strandline.ing_task_dependency.kind_code is 'ALL_SUCCEEDED, or ALL_RESOLVED which any end satisfies.';
comment on column strandline.ing_task_dependency.satisfied is 'True once the parent ended so.';
comment on column strandline.ing_task_dependency.created_at is 'When the row was written.';

create sequence strandline.ing_task_run_id_seq;
create table strandline.ing_task_run (
  id bigint not null default nextval('strandline.ing_task_run_id_seq'),
  task_id bigint not null,
  attempt_no integer not null,
  worker text not null,
  status_code text not null,
  leased_until timestamptz not null,
  heartbeat_at timestamptz,
  cancel_requested_at timestamptz,
  checkpoint json,
  walk_no integer not null,
  batch_no integer not null,
  record_count bigint not null default 0,
  window_from bigint,
  window_to bigint,
  end_reason_code text,
  ended_by text,
  errors jsonb,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (task_id, attempt_no)
) partition by range (task_id);
alter sequence strandline.ing_task_run_id_seq owned by strandline.ing_task_run.id;
create index ing_task_run_live on strandline.ing_task_run (task_id) where status_code in ('PLANNED', 'RUNNING');
comment on table strandline.ing_task_run is 'One attempt at a task. A run is the lease: who holds it, until when, and the fence of every write.';
comment on column strandline.ing_task_run.id is 'Identity.';
comment on column strandline.ing_task_run.task_id is 'The task.';
comment on column strandline.ing_task_run.attempt_no is 'Number of the attempt: the fencing token.';
comment on column strandline.ing_task_run.worker is 'Who holds it: host:pid:number.';
comment on column strandline.ing_task_run.status_code is 'State.';
comment on column strandline.ing_task_run.leased_until is 'When the lease passes; in no index, so that renewals stay HOT.';
comment on column strandline.ing_task_run.heartbeat_at is 'Last sign of life.';
comment on column strandline.ing_task_run.cancel_requested_at is 'Copied from the task.';
comment on column strandline.ing_task_run.checkpoint is 'Position after the last committed page, byte for byte; null for the beginning.';
comment on column strandline.ing_task_run.walk_no is 'Which pass over the pages.';
comment on column strandline.ing_task_run.batch_no is 'Pages committed by the task so far; compared and set by the fence.';
comment on column strandline.ing_task_run.record_count is 'Records committed by this run.';
comment on column strandline.ing_task_run.window_from is 'Lower bound of the task when it was claimed.';
comment on column strandline.ing_task_run.window_to is 'Upper bound of the task when it was claimed.';
comment on column strandline.ing_task_run.end_reason_code is 'Why it ended.';
comment on column strandline.ing_task_run.ended_by is 'Who ended it.';
comment on column strandline.ing_task_run.errors is 'Causes: [{origin, kind, message, where}].';
comment on column strandline.ing_task_run.started_at is 'First page or renewal.';
comment on column strandline.ing_task_run.finished_at is 'When it ended.';
comment on column strandline.ing_task_run.created_at is 'When it was claimed.';

create sequence strandline.ing_task_run_batch_id_seq;
create table strandline.ing_task_run_batch (
  id bigint not null default nextval('strandline.ing_task_run_batch_id_seq'),
  task_id bigint not null,
  batch_no integer not null,
  run_id bigint not null,
  slice_id bigint not null,
  plan_id bigint not null,
  walk_no integer not null,
  page_no integer not null,
  page_size bigint not null,
  before_token json,
  after_token json,
  idempotent_key bytea not null,
  record_count bigint not null,
  inserted_count bigint not null default 0,
  updated_count bigint not null default 0,
  unchanged_count bigint not null default 0,
  deleted_count bigint not null default 0,
  rejected_count bigint not null default 0,
  byte_count bigint not null default 0,
  content_digest bytea not null,
  status_code text not null,
  error jsonb,
  started_at timestamptz,
  finished_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default now(),
  primary key (task_id, batch_no)
) partition by range (task_id);
alter sequence strandline.ing_task_run_batch_id_seq owned by strandline.ing_task_run_batch.id;
create index ing_task_run_batch_id on strandline.ing_task_run_batch (id);
comment on table strandline.ing_task_run_batch is 'One committed page: the unit of resume and of proof.';
comment on column strandline.ing_task_run_batch.id is 'Identity; the value of _sl_batch in target rows.';
comment on column strandline.ing_task_run_batch.task_id is 'The task.';
comment on column strandline.ing_task_run_batch.batch_no is 'Number of the page in the task, from 1, over all runs and walks.';
comment on column strandline.ing_task_run_batch.run_id is 'The run that committed it.';
comment on column strandline.ing_task_run_batch.slice_id is 'The slice.';
comment on column strandline.ing_task_run_batch.plan_id is 'The plan that worked on the task then.';
comment on column strandline.ing_task_run_batch.walk_no is 'Which pass over the pages.';
comment on column strandline.ing_task_run_batch.page_no is 'Number of the page in that run, from 1.';
comment on column strandline.ing_task_run_batch.page_size is 'Records that the provider returned.';
comment on column strandline.ing_task_run_batch.before_token is 'Position before the page; null for the beginning.';
comment on column strandline.ing_task_run_batch.after_token is 'Position after the page; null for none.';
comment on column strandline.ing_task_run_batch.idempotent_key is 'SHA-256 of task key, walk and batch number.';
comment on column strandline.ing_task_run_batch.record_count is 'Records that reached the target''s statement.';
comment on column strandline.ing_task_run_batch.inserted_count is 'Rows added.';
comment on column strandline.ing_task_run_batch.updated_count is 'Rows changed.';
comment on column strandline.ing_task_run_batch.unchanged_count is 'Records that changed nothing.';
comment on column strandline.ing_task_run_batch.deleted_count is 'Rows removed.';
comment on column strandline.ing_task_run_batch.rejected_count is 'Records set aside.';
comment on column strandline.ing_task_run_batch.byte_count is 'Encoded bytes.';
comment on column strandline.ing_task_run_batch.content_digest is 'SHA-256 of the encoded fields without lineage, in source order.';
comment on column strandline.ing_task_run_batch.status_code is 'State.';
comment on column strandline.ing_task_run_batch.error is 'Why it was skipped or refused.';
comment on column strandline.ing_task_run_batch.started_at is 'When the page was asked for.';
comment on column strandline.ing_task_run_batch.finished_at is 'When the batch row was written, in the page''s transaction.';
comment on column strandline.ing_task_run_batch.created_at is 'When the page''s transaction began.';

-- Coverage, cursor, ledger -------------------------------------------------------------------------------------------

create table strandline.ing_cursor (
  id bigint generated always as identity primary key,
  provenance_code text not null,
  operation_code text not null,
  cursor_key text not null,
  namespace_scope_code text not null,
  namespace_key bytea not null,
  cursor_type_code text not null,
  time_zone text not null,
  origin bigint not null,
  value json,
  value_norm bigint not null,
  observed_max bigint,
  generation bigint not null default 1,
  minimum_generation bigint not null default 1,
  version bigint not null default 0,
  head_sequence_no bigint not null default 0,
  head_hash bytea,
  created_at timestamptz not null default now(),
  unique (provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key)
);
alter table strandline.ing_cursor set (fillfactor = 70);
comment on table strandline.ing_cursor is 'The watermark of a namespace, derived from coverage; the row on which its planners take turns.';
comment on column strandline.ing_cursor.id is 'Identity.';
comment on column strandline.ing_cursor.provenance_code is 'The source.';
comment on column strandline.ing_cursor.operation_code is 'What is done; BACKFILL works in HARVEST''s namespace.';
comment on column strandline.ing_cursor.cursor_key is 'The target.';
comment on column strandline.ing_cursor.namespace_scope_code is 'What tells it from other cursors of the target.';
comment on column strandline.ing_cursor.namespace_key is 'SHA-256 of parameters and expression; 32 zero bytes where there are none.';
comment on column strandline.ing_cursor.cursor_type_code is 'What its bounds count.';
comment on column strandline.ing_cursor.time_zone is 'Zone in which the value is shown and windows are aligned.';
comment on column strandline.ing_cursor.origin is 'Where coverage begins to count.';
comment on column strandline.ing_cursor.value is 'The watermark as the source spells it; for TOKEN the token to go on from.';
comment on column strandline.ing_cursor.value_norm is 'The watermark in the cursor''s unit: the end of the covered prefix.';
comment on column strandline.ing_cursor.observed_max is 'Largest bound ever covered.';
comment on column strandline.ing_cursor.generation is 'Newest generation.';
comment on column strandline.ing_cursor.minimum_generation is 'Generation whose intervals carry the watermark.';
comment on column strandline.ing_cursor.version is 'Counts every lock of a planner and every fold.';
comment on column strandline.ing_cursor.head_sequence_no is 'Number of the last event.';
comment on column strandline.ing_cursor.head_hash is 'Hash of the last event.';
comment on column strandline.ing_cursor.created_at is 'When the row was written.';

create table strandline.ing_interval (
  cursor_id bigint not null,
  generation bigint not null,
  lo bigint not null,
  hi bigint not null,
  created_at timestamptz not null default now(),
  primary key (cursor_id, generation, lo),
  check (lo < hi)
);
comment on table strandline.ing_interval is 'Merged coverage of a cursor: half-open, disjoint, not touching.';
comment on column strandline.ing_interval.cursor_id is 'The namespace.';
comment on column strandline.ing_interval.generation is 'The generation.';
comment on column strandline.ing_interval.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_interval.hi is 'Exclusive upper bound.';
comment on column strandline.ing_interval.created_at is 'When the row was written.';

create table strandline.ing_coverage (
  task_id bigint not null,
  batch_no integer not null,
  cursor_id bigint not null,
  generation bigint not null,
  lo bigint not null,
  hi bigint not null,
  slice_id bigint not null,
  run_id bigint not null,
  record_count bigint not null,
  event_sequence_no bigint,
  created_at timestamptz not null default now(),
  primary key (task_id, batch_no),
  check (lo < hi)
) partition by range (task_id);
create index ing_coverage_unfolded on strandline.ing_coverage (cursor_id, generation, lo) where event_sequence_no is null;
create index ing_coverage_event on strandline.ing_coverage (cursor_id, event_sequence_no) where event_sequence_no is not null;
comment on table strandline.ing_coverage is 'Finished parts of a window: inserted once with the last page, stamped once by the fold.';
comment on column strandline.ing_coverage.task_id is 'The task.';
comment on column strandline.ing_coverage.batch_no is 'The task''s last batch of that part.';
comment on column strandline.ing_coverage.cursor_id is 'The namespace.';
comment on column strandline.ing_coverage.generation is 'The generation.';
comment on column strandline.ing_coverage.lo is 'Inclusive lower bound in the cursor''s unit.';
comment on column strandline.ing_coverage.hi is 'Exclusive upper bound.';
comment on column strandline.ing_coverage.slice_id is 'The slice.';
comment on column strandline.ing_coverage.run_id is 'The run that finished it.';
comment on column strandline.ing_coverage.record_count is 'Records of the part, over all runs of the walk.';
comment on column strandline.ing_coverage.event_sequence_no is 'The event that folded it; null until then.';
comment on column strandline.ing_coverage.created_at is 'When the row was written.';

create table strandline.ing_cursor_event (
  cursor_id bigint not null,
  sequence_no bigint not null,
  generation bigint not null,
  direction_code text not null,
  prev_value bigint,
  new_value bigint,
  intervals int8multirange not null,
  interval_count bigint not null,
  coverage_count bigint not null,
  coverage_digest bytea not null,
  actor text not null,
  reason text not null,
  prev_hash bytea,
  event_hash bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (cursor_id, sequence_no)
);
comment on table strandline.ing_cursor_event is 'The append-only, hash-chained ledger of every move of a watermark.';
comment on column strandline.ing_cursor_event.cursor_id is 'The namespace.';
comment on column strandline.ing_cursor_event.sequence_no is 'Number of the event, from 1, without gaps.';
comment on column strandline.ing_cursor_event.generation is 'Generation whose coverage it folded.';
comment on column strandline.ing_cursor_event.direction_code is 'What it did to the watermark.';
comment on column strandline.ing_cursor_event.prev_value is 'Watermark before, in the cursor''s unit.';
comment on column strandline.ing_cursor_event.new_value is 'Watermark after.';
comment on column strandline.ing_cursor_event.intervals is 'What was added, merged.';
comment on column strandline.ing_cursor_event.interval_count is 'How many merged intervals were added.';
comment on column strandline.ing_cursor_event.coverage_count is 'How many coverage rows it stamped.';
comment on column strandline.ing_cursor_event.coverage_digest is 'SHA-256 over the coverage rows that it stamped.';
comment on column strandline.ing_cursor_event.actor is 'Who moved it.';
comment on column strandline.ing_cursor_event.reason is 'Why.';
comment on column strandline.ing_cursor_event.prev_hash is 'Hash of the event before; null for the first.';
comment on column strandline.ing_cursor_event.event_hash is 'SHA-256 over all of the above and the namespace.';
comment on column strandline.ing_cursor_event.created_at is 'When the row was written.';

-- Limits, workers, audit ---------------------------------------------------------------------------------------------

create table strandline.ing_pool (
  pool text primary key,
  slots integer check (slots >= 0),
  actor text not null default session_user,
  version bigint not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table strandline.ing_pool is 'Pools of workers and their limits.';
comment on column strandline.ing_pool.pool is 'Its name.';
comment on column strandline.ing_pool.slots is 'How many of its tasks may run at once; null for no limit.';
comment on column strandline.ing_pool.actor is 'Who changed it last.';
comment on column strandline.ing_pool.version is 'Counts changes.';
comment on column strandline.ing_pool.created_at is 'When the row was written.';
comment on column strandline.ing_pool.updated_at is 'When the row was last changed.';
insert into strandline.ing_pool (pool) values ('default');

create table strandline.ing_pool_slot (
  pool text not null references strandline.ing_pool,
  slot_no integer not null,
  task_id bigint,
  attempt_no integer,
  created_at timestamptz not null default now(),
  primary key (pool, slot_no)
);
create index ing_pool_slot_task on strandline.ing_pool_slot (task_id) where task_id is not null;
comment on table strandline.ing_pool_slot is 'One row per place in a limited pool: taken by claim, given back when the task leaves.';
comment on column strandline.ing_pool_slot.pool is 'The pool.';
comment on column strandline.ing_pool_slot.slot_no is 'Number of the place.';
comment on column strandline.ing_pool_slot.task_id is 'Who sits on it; null for free.';
comment on column strandline.ing_pool_slot.attempt_no is 'With which run.';
comment on column strandline.ing_pool_slot.created_at is 'When the row was written.';

create table strandline.ing_mutex (
  key text primary key,
  slots integer not null default 1 check (slots >= 1),
  admitted integer not null default 0 check (admitted >= 0),
  created_at timestamptz not null default now()
);
comment on table strandline.ing_mutex is 'Gates: tasks of one key take turns.';
comment on column strandline.ing_mutex.key is 'The key.';
comment on column strandline.ing_mutex.slots is 'How many may pass at once.';
comment on column strandline.ing_mutex.admitted is 'How many are in.';
comment on column strandline.ing_mutex.created_at is 'When the row was written.';

create table strandline.ing_worker (
  worker text primary key,
  host text not null,
  pid integer not null,
  version text not null,
  pools text[] not null,
  status_code text not null default 'ACTIVE',
  started_at timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  stopped_at timestamptz,
  created_at timestamptz not null default now()
);
comment on table strandline.ing_worker is 'Who works or worked.';
comment on column strandline.ing_worker.worker is 'Its name: host:pid:number.';
comment on column strandline.ing_worker.host is 'Its machine.';
comment on column strandline.ing_worker.pid is 'Its process.';
comment on column strandline.ing_worker.version is 'Its strandline version.';
comment on column strandline.ing_worker.pools is 'What it claims from.';
comment on column strandline.ing_worker.status_code is 'State.';
comment on column strandline.ing_worker.started_at is 'When it began.';
comment on column strandline.ing_worker.heartbeat_at is 'Last sign of life.';
comment on column strandline.ing_worker.stopped_at is 'When it ended by itself.';
comment on column strandline.ing_worker.created_at is 'When the row was written.';

create table strandline.ing_audit_event (
  id bigint generated always as identity primary key,
  verb text not null,
  subject text not null,
  actor text not null,
  reason text not null default '',
  detail jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table strandline.ing_audit_event is 'Who asked for what, and why.';
comment on column strandline.ing_audit_event.id is 'Identity.';
comment on column strandline.ing_audit_event.verb is 'What was asked for.';
comment on column strandline.ing_audit_event.subject is 'On what: plan:ID, task:ID, cursor:ID.';
comment on column strandline.ing_audit_event.actor is 'Who asked.';
comment on column strandline.ing_audit_event.reason is 'Why, in their words.';
comment on column strandline.ing_audit_event.detail is 'What it changed.';
comment on column strandline.ing_audit_event.created_at is 'When it was asked for.';

-- Partitions ---------------------------------------------------------------------------------------------------------
-- Run, batch and coverage are cut at every millionth task id, so that their unique keys are real and old parts can be
-- dropped. The planner calls this once its ids are known; no claim ever meets a missing partition. Attaching a table takes
-- a weaker lock than creating a partition in place, so that running commits do not wait.

create function strandline.partition_ahead(highest_in bigint) returns void
language plpgsql security definer set search_path = pg_catalog as $function$
declare
  part bigint;
  parent text;
  width constant bigint := 1000000;
begin
  -- One planner at a time makes partitions; the others find them made.
  perform pg_advisory_xact_lock(hashtextextended('strandline.partition_ahead', 0));
  for part in 0 .. highest_in / width + 1 loop
    foreach parent in array array['ing_task_run', 'ing_task_run_batch', 'ing_coverage'] loop
      if to_regclass(format('strandline.%I', parent || '_p' || part)) is null then
        execute format('create table strandline.%I (like strandline.%I including defaults including constraints including storage) with (fillfactor = %s)',
          parent || '_p' || part, parent, case parent when 'ing_task_run' then 70 else 100 end);
        execute format('alter table strandline.%I attach partition strandline.%I for values from (%s) to (%s)',
          parent, parent || '_p' || part, part * width, (part + 1) * width);
      end if;
    end loop;
  end loop;
end $function$;
comment on function strandline.partition_ahead(bigint) is 'Makes the partitions of run, batch and coverage up to one width beyond a task id.';
select strandline.partition_ahead(0);

-- States -------------------------------------------------------------------------------------------------------------

-- generated: states guard begin
-- Made from sql/states.json by `python sql/generate.py --guard`; do not edit here.

alter table strandline.ing_plan add constraint ing_plan_status_code_check
  check (status_code in ('ACTIVE', 'SUCCEEDED', 'PARTIAL', 'FAILED', 'CANCELLED'));

create function strandline.guard_plan_move() returns trigger language plpgsql as $guard$
begin
  if tg_op = 'INSERT' then
    raise exception using errcode = 'SL001', message = format('plan %s: cannot begin as %s',
      new.id, new.status_code), hint = 'It begins as ''ACTIVE'', ''SUCCEEDED''.';
  end if;
  if not (case old.status_code
    when 'ACTIVE' then new.status_code in ('SUCCEEDED', 'PARTIAL', 'FAILED', 'CANCELLED')
    when 'SUCCEEDED' then new.status_code in ('ACTIVE')
    when 'PARTIAL' then new.status_code in ('ACTIVE')
    when 'FAILED' then new.status_code in ('ACTIVE')
    when 'CANCELLED' then new.status_code in ('ACTIVE')
    else false end) then
    raise exception using errcode = 'SL001', message = format('plan %s: %s -> %s is not an allowed move',
      new.id, old.status_code, new.status_code), hint = 'The allowed moves are in docs/states.md.';
  end if;
  return new;
end $guard$;
comment on function strandline.guard_plan_move() is 'Refuses every change of ing_plan.status_code outside the state machine.';

create trigger ing_plan_move before update of status_code on strandline.ing_plan
  for each row when (old.status_code is distinct from new.status_code) execute function strandline.guard_plan_move();
create trigger ing_plan_begin after insert on strandline.ing_plan
  for each row when (new.status_code not in ('ACTIVE', 'SUCCEEDED')) execute function strandline.guard_plan_move();

alter table strandline.ing_task add constraint ing_task_status_code_check
  check (status_code in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'));

create function strandline.guard_task_move() returns trigger language plpgsql as $guard$
begin
  if tg_op = 'INSERT' then
    raise exception using errcode = 'SL001', message = format('task %s: cannot begin as %s',
      new.id, new.status_code), hint = 'It begins as ''QUEUED'', ''FAILED''.';
  end if;
  if not (case old.status_code
    when 'QUEUED' then new.status_code in ('RUNNING', 'FAILED', 'CANCELLED')
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'QUEUED')
    when 'FAILED' then new.status_code in ('QUEUED')
    when 'CANCELLED' then new.status_code in ('QUEUED')
    else false end) then
    raise exception using errcode = 'SL001', message = format('task %s: %s -> %s is not an allowed move',
      new.id, old.status_code, new.status_code), hint = 'The allowed moves are in docs/states.md.';
  end if;
  if new.attempt_no <> old.attempt_no + (case old.status_code
    when 'RUNNING' then new.status_code in ('QUEUED')
    when 'FAILED' then new.status_code in ('QUEUED')
    when 'CANCELLED' then new.status_code in ('QUEUED')
    else false end)::int then
    raise exception using errcode = 'SL001', message = format('task %s: %s -> %s takes attempt_no from %s to %s',
      new.id, old.status_code, new.status_code, old.attempt_no, new.attempt_no),
      hint = 'A move back to QUEUED raises attempt_no by one; every other move keeps it.';
  end if;
  return new;
end $guard$;
comment on function strandline.guard_task_move() is 'Refuses every change of ing_task.status_code outside the state machine.';

create trigger ing_task_move before update of status_code on strandline.ing_task
  for each row when (old.status_code is distinct from new.status_code) execute function strandline.guard_task_move();
create trigger ing_task_begin after insert on strandline.ing_task
  for each row when (new.status_code not in ('QUEUED', 'FAILED')) execute function strandline.guard_task_move();

alter table strandline.ing_task_run add constraint ing_task_run_status_code_check
  check (status_code in ('PLANNED', 'RUNNING', 'SUCCEEDED', 'YIELDED', 'FAILED', 'CANCELLED', 'LOST'));

create function strandline.guard_run_move() returns trigger language plpgsql as $guard$
begin
  if tg_op = 'INSERT' then
    raise exception using errcode = 'SL001', message = format('run (task_id %s, attempt_no %s): cannot begin as %s',
      new.task_id, new.attempt_no, new.status_code), hint = 'It begins as ''PLANNED''.';
  end if;
  if not (case old.status_code
    when 'PLANNED' then new.status_code in ('RUNNING', 'SUCCEEDED', 'YIELDED', 'FAILED', 'CANCELLED', 'LOST')
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'YIELDED', 'FAILED', 'CANCELLED', 'LOST')
    else false end) then
    raise exception using errcode = 'SL001', message = format('run (task_id %s, attempt_no %s): %s -> %s is not an allowed move',
      new.task_id, new.attempt_no, old.status_code, new.status_code), hint = 'The allowed moves are in docs/states.md.';
  end if;
  return new;
end $guard$;
comment on function strandline.guard_run_move() is 'Refuses every change of ing_task_run.status_code outside the state machine.';

create trigger ing_task_run_move before update of status_code on strandline.ing_task_run
  for each row when (old.status_code is distinct from new.status_code) execute function strandline.guard_run_move();
create trigger ing_task_run_begin after insert on strandline.ing_task_run
  for each row when (new.status_code not in ('PLANNED')) execute function strandline.guard_run_move();

alter table strandline.ing_task_run_batch add constraint ing_task_run_batch_status_code_check
  check (status_code in ('RUNNING', 'SUCCEEDED', 'FAILED', 'SKIPPED'));

create function strandline.guard_batch_move() returns trigger language plpgsql as $guard$
begin
  if tg_op = 'INSERT' then
    raise exception using errcode = 'SL001', message = format('batch (task_id %s, batch_no %s): cannot begin as %s',
      new.task_id, new.batch_no, new.status_code), hint = 'It begins as ''RUNNING'', ''SUCCEEDED'', ''SKIPPED''.';
  end if;
  if not (case old.status_code
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'FAILED')
    else false end) then
    raise exception using errcode = 'SL001', message = format('batch (task_id %s, batch_no %s): %s -> %s is not an allowed move',
      new.task_id, new.batch_no, old.status_code, new.status_code), hint = 'The allowed moves are in docs/states.md.';
  end if;
  return new;
end $guard$;
comment on function strandline.guard_batch_move() is 'Refuses every change of ing_task_run_batch.status_code outside the state machine.';

create trigger ing_task_run_batch_move before update of status_code on strandline.ing_task_run_batch
  for each row when (old.status_code is distinct from new.status_code) execute function strandline.guard_batch_move();
create trigger ing_task_run_batch_begin after insert on strandline.ing_task_run_batch
  for each row when (new.status_code not in ('RUNNING', 'SUCCEEDED', 'SKIPPED')) execute function strandline.guard_batch_move();
-- generated: states guard end

-- Roles --------------------------------------------------------------------------------------------------------------
-- The role that migrates owns the schema. Runners work the queue and write the ledger; readers look. Both are group roles,
-- named after the schema. Where the migrating role may not create roles, an administrator makes them first.

do $roles$
declare
  schema_name text := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'strandline.ing_instance'::regclass);
  runner text := schema_name || '_runner';
  reader text := schema_name || '_reader';
  wanted text;
begin
  foreach wanted in array array[runner, reader] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin', wanted);
      exception
        when duplicate_object or unique_violation then null;  -- another migration made it meanwhile
        when insufficient_privilege then
          raise notice 'role % does not exist and % may not create it; grants to it are left out', wanted, current_user;
      end;
    end if;
  end loop;
  if exists (select from pg_roles where rolname = reader) then
    execute format('grant usage on schema %I to %I', schema_name, reader);
    execute format('grant select on all tables in schema %I to %I', schema_name, reader);
    execute format('alter default privileges in schema %I grant select on tables to %I', schema_name, reader);
  end if;
  if exists (select from pg_roles where rolname = runner) then
    execute format('grant usage on schema %I to %I', schema_name, runner);
    execute format('grant select on all tables in schema %I to %I', schema_name, runner);
    execute format('grant insert, update on all tables in schema %I to %I', schema_name, runner);
    execute format('grant delete on %I.ing_interval to %I', schema_name, runner);
    -- History is written once: nobody but the owner changes a batch, an event or the audit trail.
    execute format('revoke update on %1$I.ing_task_run_batch, %1$I.ing_cursor_event, %1$I.ing_audit_event, %1$I.ing_schedule_instance from %2$I', schema_name, runner);
    execute format('revoke insert, update on %1$I.ing_dict_type, %1$I.ing_dict_item, %1$I.ing_dict_alias, %1$I.ing_instance, %1$I.ing_schema_migration from %2$I', schema_name, runner);
    execute format('grant usage on all sequences in schema %I to %I', schema_name, runner);
    execute format('grant execute on function %I.partition_ahead(bigint) to %I', schema_name, runner);
  end if;
end $roles$;
revoke execute on function strandline.partition_ahead(bigint) from public;

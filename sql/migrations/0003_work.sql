-- The work: limits, workers, the audit trail, partitions, the guard of the state machines, roles.

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

-- The queue: limits of rate, gates for dependencies on plans and streams, held cursors, the reach of ordered pages, wishes to workers.

-- All locks first, in the order in which workers take them: a deadlock with one that is still there, or a wait that takes too long,
-- then undoes nothing.
lock table strandline.ing_cursor, strandline.ing_plan, strandline.ing_plan_slice, strandline.ing_task, strandline.ing_task_run,
  strandline.ing_task_run_batch, strandline.ing_audit_event;

-- Rates --------------------------------------------------------------------------------------------------------------

create table strandline.ing_rate_limit (
  key text primary key,
  per_second float8 check (per_second > 0),
  burst float8 not null default 1 check (burst >= 1),
  tat timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default now()
) with (fillfactor = 50);
comment on table strandline.ing_rate_limit is 'Rates that all workers share: one row per key, moved along by each taker (GCRA).';
comment on column strandline.ing_rate_limit.key is 'What is limited; a provider''s rate_key.';
comment on column strandline.ing_rate_limit.per_second is 'Calls per second; null for a key that has no rate and may only be paused.';
comment on column strandline.ing_rate_limit.burst is 'How many calls may come at once.';
comment on column strandline.ing_rate_limit.tat is 'Theoretical arrival time: when the reserved calls are used up.';
comment on column strandline.ing_rate_limit.created_at is 'When the row was written.';

-- Gates --------------------------------------------------------------------------------------------------------------
-- A gate is a task of kind GATE that no worker claims: it ends with its plan, or when its stream is covered up to its bound, and
-- so lets any number of tasks wait for either with one edge each. Its id is negative: below every task's, so that the rule
-- "a parent's id is smaller" holds for tasks that are older than their gate. It lies in no plan (plan 0) and in generation 0,
-- where no planner looks.

create sequence strandline.ing_gate_id_seq increment by -1 maxvalue -1 start with -1;
create index ing_task_gate on strandline.ing_task (cursor_id, lo) where generation = 0 and status_code = 'QUEUED';

create function strandline.gate_key(of_in text) returns bytea
language sql immutable parallel safe set search_path = pg_catalog as $function$ select sha256(convert_to('gate:' || of_in, 'UTF8')) $function$;
comment on function strandline.gate_key(text) is 'The key of the gate of plan:ID, or of cursor:ID:BOUND.';

-- The fold -----------------------------------------------------------------------------------------------------------
-- Its statements stand in functions, whose plans a server session keeps, whoever uses it: parsing and planning them anew was
-- three quarters of what a fold cost. The plans outlive what the tables held when they were made, so the settings leave them
-- nothing but indexes and one look for each row.

-- Whether all of a plan's window is loaded, by whomever.
create function strandline.plan_loaded(plan_in bigint) returns boolean
language sql stable as $function$
  select p.cursor_id is not null and not exists (select from unnest(int8multirange(int8range(p.window_from, p.window_to))
    - coalesce((select range_agg(int8range(i.lo, i.hi)) from strandline.ing_interval i
        where i.cursor_id = p.cursor_id and i.generation = p.generation and i.hi > p.window_from and i.lo < p.window_to), '{}')
    - coalesce((select range_agg(int8range(v.lo, v.hi)) from strandline.ing_coverage v
        where v.cursor_id = p.cursor_id and v.generation = p.generation and v.event_sequence_no is null and v.hi > p.window_from and v.lo < p.window_to), '{}')) r)
  from strandline.ing_plan p where p.id = plan_in;
$function$;

create function strandline.fold_merge(cursor_in bigint, generation_in bigint, origin_in bigint, los_in bigint[], his_in bigint[]) returns bigint
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $function$
declare
  one constant boolean := cardinality(los_in) = 1;
  left_lo bigint;
  left_hi bigint;
begin
  if one then
    select i.lo, i.hi into left_lo, left_hi from strandline.ing_interval i
    where i.cursor_id = cursor_in and i.generation = generation_in and i.lo <= his_in[1] order by i.lo desc limit 1;
  end if;
  if one and (left_hi is null or left_hi < los_in[1]) then  -- it lies apart
    insert into strandline.ing_interval (cursor_id, generation, lo, hi) values (cursor_in, generation_in, los_in[1], his_in[1]);
  elsif one and left_lo <= los_in[1] then  -- it goes on where another ends, and reaches no third
    update strandline.ing_interval i set hi = his_in[1] where i.cursor_id = cursor_in and i.generation = generation_in and i.lo = left_lo and i.hi < his_in[1];
  else
    -- Lateral, and by place: one look into the index for each bound. Nobody else moves intervals while the cursor is locked.
    with n as materialized (select unnest(range_agg(int8range(x.lo, x.hi))) as r from unnest(los_in, his_in) x(lo, hi)),
     d as (delete from strandline.ing_interval i where i.ctid = any(array(select x.ctid from n cross join lateral (select j.ctid from strandline.ing_interval j
       where j.cursor_id = cursor_in and j.generation = generation_in and j.lo <= upper(n.r) and j.hi >= lower(n.r) and j.lo >= coalesce((select max(k.lo) from strandline.ing_interval k
         where k.cursor_id = cursor_in and k.generation = generation_in and k.lo <= lower(n.r)), lower(n.r)) offset 0) x)) returning i.lo, i.hi)
    insert into strandline.ing_interval (cursor_id, generation, lo, hi) select cursor_in, generation_in, lower(q), upper(q)
    from (select unnest(range_agg(z.r)) as q from (select int8range(d.lo, d.hi) as r from d union all select n.r from n) z) y;
  end if;
  return greatest(origin_in, (select i.hi from strandline.ing_interval i
    where i.cursor_id = cursor_in and i.generation = generation_in and i.lo <= origin_in order by i.lo desc limit 1));
end $function$;
comment on function strandline.fold_merge(bigint, bigint, bigint, bigint[], bigint[]) is 'Merges bounds into the intervals of a cursor, locked, and a generation. Returns the end of the covered prefix from an origin.';

create function strandline.fold_take(cursor_in bigint) returns table (
  provenance_code text, operation_code text, cursor_key text, namespace_scope_code text, namespace_key bytea, cursor_type_code text, value json, value_norm bigint,
  minimum_generation bigint, head_sequence_no bigint, head_hash bytea, generation bigint, mark bigint, tasks bigint[], batches int[], los bigint[], his bigint[], counts bigint[])
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $function$
declare
  origin bigint;
begin
  if not exists (select from strandline.ing_coverage v where v.cursor_id = cursor_in and v.event_sequence_no is null) then return; end if;
  select c.provenance_code, c.operation_code, c.cursor_key, c.namespace_scope_code, c.namespace_key, c.cursor_type_code, c.value, c.value_norm, c.minimum_generation,
    c.head_sequence_no, c.head_hash, c.origin
  into provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key, cursor_type_code, value, value_norm, minimum_generation,
    head_sequence_no, head_hash, origin from strandline.ing_cursor c where c.id = cursor_in for no key update skip locked;
  if not found then return; end if;
  -- A statement of its own, and so a snapshot of its own: what was committed before the lock is seen.
  for generation, tasks, batches, los, his, counts in
    select p.generation, array_agg(p.task_id), array_agg(p.batch_no), array_agg(p.lo), array_agg(p.hi), array_agg(p.record_count)
    from (select v.generation, v.task_id, v.batch_no, v.lo, v.hi, v.record_count from strandline.ing_coverage v where v.cursor_id = cursor_in and v.event_sequence_no is null
     order by v.generation, v.lo, v.task_id, v.batch_no limit 10000) p group by p.generation order by p.generation loop
    if generation >= minimum_generation then
      mark := strandline.fold_merge(cursor_in, generation, origin, los, his);
      -- A reread proves its window a second time; the mark lives in the older generation's intervals.
      if generation > minimum_generation then mark := strandline.fold_merge(cursor_in, minimum_generation, origin, los, his); end if;
    end if;
    return next;
  end loop;
  if not found then
    generation := null;
    return next;
  end if;
end $function$;
comment on function strandline.fold_take(bigint) is 'Locks a cursor that has unfolded coverage and merges at most 10,000 parts of it: a row for each generation. One without a generation where another fold was faster; no row, and no lock, where nothing is unfolded or somebody else holds the cursor.';

create function strandline.fold_write(cursor_in bigint, sequence_in bigint, generation_in bigint, direction_in text, before_in bigint, after_in bigint, los_in bigint[], his_in bigint[],
  digest_in bytea, actor_in text, reason_in text, prev_hash_in bytea, hash_in bytea, value_in json, tasks_in bigint[], batches_in int[]) returns boolean
language plpgsql set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $function$
declare
  added int8multirange := int8multirange(int8range(los_in[1], his_in[1]));
begin
  if cardinality(los_in) > 1 then
    select range_agg(int8range(x.lo, x.hi)) into added from unnest(los_in, his_in) x(lo, hi);
  end if;
  update strandline.ing_cursor set value_norm = after_in, value = value_in, observed_max = greatest(observed_max, his_in[cardinality(his_in)]), head_sequence_no = sequence_in,
    head_hash = hash_in, version = version + 1 where id = cursor_in and head_sequence_no = sequence_in - 1;
  if not found then return false; end if;
  insert into strandline.ing_cursor_event (cursor_id, sequence_no, generation, direction_code, prev_value, new_value, intervals, interval_count, coverage_count, coverage_digest,
    actor, reason, prev_hash, event_hash)
  values (cursor_in, sequence_in, generation_in, direction_in, before_in, after_in, added, cardinality(los_in), cardinality(tasks_in), digest_in, actor_in, reason_in, prev_hash_in, hash_in);
  -- By their key, whatever the server thinks of the index of unfolded rows.
  if cardinality(tasks_in) = 1 then
    update strandline.ing_coverage c set event_sequence_no = sequence_in
    where c.task_id = tasks_in[1] and c.batch_no = batches_in[1] and coalesce(c.event_sequence_no, 0) = 0;
  else
    update strandline.ing_coverage c set event_sequence_no = sequence_in from unnest(tasks_in, batches_in) x(t, b)
    where c.task_id = x.t and c.batch_no = x.b and coalesce(c.event_sequence_no, 0) = 0;
  end if;
  return true;
end $function$;
comment on function strandline.fold_write(bigint, bigint, bigint, text, bigint, bigint, bigint[], bigint[], bytea, text, text, bytea, bytea, json, bigint[], int[]) is 'Moves the head of a cursor, locked, by an event, writes the event and stamps its coverage. False where the head is not the one before it.';

create function strandline.fold_look(cursor_in bigint, out more boolean, out due boolean)
language plpgsql stable set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $function$
begin
  select exists (select from strandline.ing_coverage v where v.cursor_id = cursor_in and v.event_sequence_no is null),
    exists (select from strandline.ing_task g where g.generation = 0 and g.status_code = 'QUEUED' and g.cursor_id = cursor_in
      and g.lo <= (select c.value_norm from strandline.ing_cursor c where c.id = cursor_in)) into more, due;
end $function$;
comment on function strandline.fold_look(bigint) is 'Whether a cursor has coverage that no fold has seen, and gates that its watermark has reached.';

-- Plans, cursors, runs -----------------------------------------------------------------------------------------------

alter table strandline.ing_plan add column pool text;
comment on column strandline.ing_plan.pool is 'The pool of its tasks, by which workers of one plan know its limit.';
update strandline.ing_plan p set pool = t.pool from (select plan_id, min(pool) as pool from strandline.ing_task group by plan_id) t where t.plan_id = p.id;
-- A slice's row stays as it is, while every move of its task would be written into each index of the task's table.
alter table strandline.ing_plan_slice add column task_key bytea;
comment on column strandline.ing_plan_slice.task_key is 'The idempotent_key of its task: no cut is planned twice.';
update strandline.ing_plan_slice s set task_key = t.idempotent_key from strandline.ing_task t where t.slice_id = s.id;
alter table strandline.ing_plan_slice alter column task_key set not null;
create unique index ing_plan_slice_task_key on strandline.ing_plan_slice (task_key);
drop index strandline.ing_task_key;
create unique index ing_task_key on strandline.ing_task (idempotent_key) where kind_code <> 'SLICE';

create index ing_plan_active on strandline.ing_plan (id) where status_code = 'ACTIVE';

alter table strandline.ing_cursor add column held boolean not null default false;
comment on column strandline.ing_cursor.held is 'Paused by an operator: what is planned on it is held too.';

alter table strandline.ing_task_run add column reached bigint;
comment on column strandline.ing_task_run.reached is 'All below this bound is committed, in the cursor''s unit; null where the provider does not say.';

-- Renewals and pages of a run stay HOT: what they change is in no index, nor in the predicate of one, and all rows of a page find room
-- for their next version beside themselves, also when one statement renews them all.
drop index strandline.ing_task_run_live;
create index ing_task_run_live on strandline.ing_task_run (task_id) where finished_at is null;

create or replace function strandline.partition_ahead(highest_in bigint) returns void
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
          parent || '_p' || part, parent, case parent when 'ing_task_run' then 40 else 100 end);
        execute format('alter table strandline.%I attach partition strandline.%I for values from (%s) to (%s)',
          parent, parent || '_p' || part, part * width, (part + 1) * width);
      end if;
    end loop;
  end loop;
end $function$;

do $fill$
declare
  part regclass;
begin
  for part in select inhrelid::regclass from pg_inherits where inhparent = 'strandline.ing_task_run'::regclass loop
    execute format('alter table %s set (fillfactor = 40)', part);
  end loop;
end $fill$;

create index ing_task_admitted on strandline.ing_task (scheduled_at) where mutex_key is not null and status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;
create index ing_audit_event_subject on strandline.ing_audit_event (subject, id);

-- Dictionaries -------------------------------------------------------------------------------------------------------

insert into strandline.ing_dict_type (type_code, description, extensible) values
  ('reason', 'Why a plan, a task or a run is as it is, or ended.', false),
  ('cause_origin', 'Where the cause of a run''s end lies.', false),
  ('dependency_kind', 'What a task needs of the one that it waits for.', false);

insert into strandline.ing_dict_item (type_code, item_code, description, is_default) values
  ('task_kind', 'GATE', 'Waits for a plan''s end or a stream''s coverage on behalf of other tasks; never claimed.', false),
  ('worker_status', 'DRAINING', 'Asked to end after the page in hand.', false),
  ('worker_status', 'QUARANTINED', 'Claims nothing until it is released.', false),
  ('cause_origin', 'SOURCE', 'The provider, or what it reads.', false),
  ('cause_origin', 'ENGINE', 'strandline itself.', true),
  ('cause_origin', 'DESTINATION', 'The target refused.', false),
  ('cause_origin', 'OPERATOR', 'A person asked for it.', false),
  ('dependency_kind', 'ALL_SUCCEEDED', 'Its success.', true),
  ('dependency_kind', 'ALL_RESOLVED', 'Any end of it.', false),
  ('reason', 'BACKING_OFF', 'Waits after a failure; progress sets the ladder back.', false),
  ('reason', 'BUDGET', 'The worker''s seconds or tasks were used up; the task goes on elsewhere or later.', false),
  ('reason', 'CANCELLED', 'Ended by request.', false),
  ('reason', 'CAPPED', 'The window has more slices than max_slices lets one plan hold; the next plan takes the rest.', false),
  ('reason', 'CONFIG', 'The source refused the configuration, or the provider has a bug; waiting does not heal it.', false),
  ('reason', 'COUNT_MISMATCH', 'The source reported a total and the committed records differ from it.', false),
  ('reason', 'CURSOR_EXPIRED', 'The source no longer accepts the token.', false),
  ('reason', 'DATA', 'A page or a row is not what the contract says.', false),
  ('reason', 'DEADLINE', 'The deadline passed first.', false),
  ('reason', 'DEPENDENCY', 'Waits for other tasks.', false),
  ('reason', 'DONE', 'It committed the last page of its task.', false),
  ('reason', 'DRAINING', 'Its worker was asked to end; the task goes on elsewhere.', false),
  ('reason', 'DUE', 'Can be claimed now, or waits for its scheduled time only.', false),
  ('reason', 'EMPTY_WINDOW', 'The window holds nothing: it ends where it starts.', false),
  ('reason', 'FAILED', 'Ended by an error; last_error of the task and errors of the run say which.', false),
  ('reason', 'FATAL', 'The provider said that no retry can help.', false),
  ('reason', 'INTERRUPTED', 'The worker was asked to stop (Ctrl-C, SIGTERM) and gave the task back.', false),
  ('reason', 'IN_FLIGHT', 'What is missing of the window is in the hands of other plans.', false),
  ('reason', 'LEASE_LOST', 'The lease passed without a sign of life; the task is given up after max_losses of these without a committed page between them.', false),
  ('reason', 'MUTEX', 'Waits for the tasks that share its mutex key.', false),
  ('reason', 'NOTHING_FAILED', 'Only what failed was asked for, and nothing did.', false),
  ('reason', 'NOTHING_MISSING', 'All of the window is covered, or a value with this content is in the target already.', false),
  ('reason', 'PAUSED', 'Held until somebody resumes it.', false),
  ('reason', 'PROVIDER_GONE', 'The process that held the local provider or value is gone.', false),
  ('reason', 'QUARANTINED', 'Its worker was put under quarantine; the task goes on elsewhere.', false),
  ('reason', 'RATE_LIMITED', 'The source asked to wait, or the shared rate is used up; never a failure.', false),
  ('reason', 'REOPENED', 'A planner found its closed cut missing and queued it again, checkpoint kept.', false),
  ('reason', 'RESTART', 'The walk begins again: its pages had no token to go on from.', false),
  ('reason', 'RETRIED', 'Somebody asked for it again.', false),
  ('reason', 'REWOUND', 'The cursor was rewound; work for the older generation ended.', false),
  ('reason', 'SKIPPED', 'An operator passed over a page that can never be stored.', false),
  ('reason', 'SPLIT', 'Its slice was cut anew.', false),
  ('reason', 'STALLED', 'The provider''s call took longer than page_timeout.', false),
  ('reason', 'TRANSIENT', 'The source failed in a way that may pass.', false),
  ('reason', 'UNREACHABLE', 'The server was away for long; the task goes on with whoever claims it next.', false),
  ('reason', 'UPSTREAM_FAILED', 'A task that it needs failed or was cancelled.', false);

-- States -------------------------------------------------------------------------------------------------------------
-- The guard again, with the allowed moves in the triggers' conditions: a move that is allowed costs a comparison and no call.

drop function strandline.guard_plan_move() cascade;
drop function strandline.guard_task_move() cascade;
drop function strandline.guard_run_move() cascade;
drop function strandline.guard_batch_move() cascade;
alter table strandline.ing_plan drop constraint ing_plan_status_code_check;
alter table strandline.ing_task drop constraint ing_task_status_code_check;
alter table strandline.ing_task_run drop constraint ing_task_run_status_code_check;
alter table strandline.ing_task_run_batch drop constraint ing_task_run_batch_status_code_check;

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
  return null;
end $guard$;
comment on function strandline.guard_plan_move() is 'Refuses every change of ing_plan.status_code outside the state machine.';

create trigger ing_plan_move after update of status_code on strandline.ing_plan
  for each row when (old.status_code is distinct from new.status_code and not ((case old.status_code
    when 'ACTIVE' then new.status_code in ('SUCCEEDED', 'PARTIAL', 'FAILED', 'CANCELLED')
    when 'SUCCEEDED' then new.status_code in ('ACTIVE')
    when 'PARTIAL' then new.status_code in ('ACTIVE')
    when 'FAILED' then new.status_code in ('ACTIVE')
    when 'CANCELLED' then new.status_code in ('ACTIVE')
    else false end))) execute function strandline.guard_plan_move();
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
  raise exception using errcode = 'SL001', message = format('task %s: %s -> %s takes attempt_no from %s to %s',
    new.id, old.status_code, new.status_code, old.attempt_no, new.attempt_no),
    hint = 'A move back to QUEUED raises attempt_no by one; every other move keeps it.';
  return null;
end $guard$;
comment on function strandline.guard_task_move() is 'Refuses every change of ing_task.status_code outside the state machine.';

create trigger ing_task_move after update of status_code on strandline.ing_task
  for each row when (old.status_code is distinct from new.status_code and not ((case old.status_code
    when 'QUEUED' then new.status_code in ('RUNNING', 'FAILED', 'CANCELLED')
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'FAILED', 'CANCELLED', 'QUEUED')
    when 'FAILED' then new.status_code in ('QUEUED')
    when 'CANCELLED' then new.status_code in ('QUEUED')
    else false end)
    and new.attempt_no = old.attempt_no + (case old.status_code
    when 'RUNNING' then new.status_code in ('QUEUED')
    when 'FAILED' then new.status_code in ('QUEUED')
    when 'CANCELLED' then new.status_code in ('QUEUED')
    else false end)::int)) execute function strandline.guard_task_move();
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
  return null;
end $guard$;
comment on function strandline.guard_run_move() is 'Refuses every change of ing_task_run.status_code outside the state machine.';

create trigger ing_task_run_move after update of status_code on strandline.ing_task_run
  for each row when (old.status_code is distinct from new.status_code and not ((case old.status_code
    when 'PLANNED' then new.status_code in ('RUNNING', 'SUCCEEDED', 'YIELDED', 'FAILED', 'CANCELLED', 'LOST')
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'YIELDED', 'FAILED', 'CANCELLED', 'LOST')
    else false end))) execute function strandline.guard_run_move();
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
  return null;
end $guard$;
comment on function strandline.guard_batch_move() is 'Refuses every change of ing_task_run_batch.status_code outside the state machine.';

create trigger ing_task_run_batch_move after update of status_code on strandline.ing_task_run_batch
  for each row when (old.status_code is distinct from new.status_code and not ((case old.status_code
    when 'RUNNING' then new.status_code in ('SUCCEEDED', 'FAILED')
    else false end))) execute function strandline.guard_batch_move();
create trigger ing_task_run_batch_begin after insert on strandline.ing_task_run_batch
  for each row when (new.status_code not in ('RUNNING', 'SUCCEEDED', 'SKIPPED')) execute function strandline.guard_batch_move();
-- generated: states guard end

-- Roles --------------------------------------------------------------------------------------------------------------

do $roles$
declare
  schema_name text := (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = 'strandline.ing_instance'::regclass);
  runner text := schema_name || '_runner';
  reader text := schema_name || '_reader';
begin
  if exists (select from pg_roles where rolname = reader) then
    execute format('grant select on %I.ing_rate_limit to %I', schema_name, reader);
  end if;
  if exists (select from pg_roles where rolname = runner) then
    execute format('grant select, insert, update on %I.ing_rate_limit to %I', schema_name, runner);
    execute format('grant usage on sequence %I.ing_gate_id_seq to %I', schema_name, runner);
    -- A cut that is planned again gets the dependencies of its new plan; surplus places of a pool go when they come free.
    execute format('grant delete on %1$I.ing_task_dependency, %1$I.ing_pool_slot to %2$I', schema_name, runner);
  end if;
end $roles$;

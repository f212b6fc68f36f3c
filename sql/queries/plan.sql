-- Planning. The cursor row is updated in one statement and all three sets are read in the next, under that lock: one statement
-- has one snapshot, so a finished slice is always in one of the sets, and what the lock waited for is seen.

-- name: plan.begun
-- Whether anything of cursor $1 is stored or may be: finished and not folded, live, or closed with pages. What is folded shows in its head.
select exists (select from strandline.ing_coverage where cursor_id = $1 and event_sequence_no is null)
  or exists (select from strandline.ing_task where cursor_id = $1 and generation > 0 and status_code <> 'SUCCEEDED' and (status_code in ('QUEUED', 'RUNNING') or batch_no > 0)) as begun;

-- name: plan.by_trigger
-- The plans of trigger $1, with what is needed to answer a repeated request.
select p.id, p.plan_key, p.stream_id, p.cursor_id, p.status_code, p.reason_code, p.reason, p.total_slices, p.window_from, p.window_to, p.window_spec, p.generation
from strandline.ing_plan p where p.schedule_instance_id = $1 order by p.id;

-- name: plan.close
-- Ends plan $1 if no task of it lives: the status is what its tasks add up to. Those that were split are their parts; those that a later plan took over, or cut anew, count as what became of
-- the window. After plan.close_lock.
update strandline.ing_plan p set finished_at = clock_timestamp(),
  reason_code = case when c.elsewhere = c.n then 'REOPENED' else p.reason_code end, reason = case when c.elsewhere = c.n then 'all of its tasks went on in later plans' else p.reason end,
  status_code = case when c.ok = c.n and c.n > 0 then 'SUCCEEDED'
   when c.ok + c.elsewhere = c.n and strandline.plan_loaded(p.id)
   then 'SUCCEEDED' when c.ok > 0 then 'PARTIAL' when c.failed > 0 then 'FAILED' else 'CANCELLED' end
from (select count(*) n, count(*) filter (where status_code = 'SUCCEEDED') ok, count(*) filter (where status_code = 'FAILED') failed,
    count(*) filter (where status_code in ('QUEUED', 'RUNNING')) live,
    count(*) filter (where status_code in ('FAILED', 'CANCELLED') and (select s.superseded from strandline.ing_plan_slice s where s.id = t.slice_id)) elsewhere
  from strandline.ing_task t where plan_id = $1 and reason_code is distinct from 'SPLIT') c
where p.id = $1 and p.status_code = 'ACTIVE' and c.live = 0 returning p.status_code;

-- name: plan.close_lock
-- Takes plan $1 if it can be closed. A retry makes a plan ACTIVE under the same lock.
select status_code from strandline.ing_plan where id = $1 and status_code = 'ACTIVE' for no key update;

-- name: plan.close_look
-- Whether plan $1 may be over, or up to $2 plans of any (null) whose last worker died before it could close them. A look without a lock, so that the many finishers of a large plan do not
-- queue for its row. The far end of what can be claimed is looked at first: in front lie those that are over, dead or not.
select p.id from strandline.ing_plan p where p.status_code = 'ACTIVE' and ($1::bigint is null or p.id = $1)
  and (select true from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
  order by t.priority desc, t.scheduled_at desc, t.id desc limit 1) is null and not exists (select from strandline.ing_task t where t.plan_id = p.id and t.status_code in ('QUEUED', 'RUNNING'))
order by p.id limit $2;

-- name: plan.closed_cuts
-- Cuts of cursor $1 in generation $2 that ended without success and overlap [$3, $4). A superseded one counts for its key only.
select t.id, t.idempotent_key, t.lo, t.hi, t.batch_no, t.status_code, t.plan_id, t.slice_id, s.superseded
from strandline.ing_task t join strandline.ing_plan_slice s on s.id = t.slice_id
where t.cursor_id = $1 and t.generation = $2 and t.status_code in ('CANCELLED', 'FAILED') and t.lo < $4 and t.hi > $3
order by t.lo, t.id;

-- name: plan.context
-- What a worker needs to know of plan $1, from the snapshots of its trigger.
select p.id as plan_id, p.provenance_code, p.operation_code, p.cursor_id, p.generation, p.time_zone, p.window_from, p.window_to, p.slice_strategy_code,
  p.status_code, s.stream, s.target_schema, s.target_table, s.write_mode, s.primary_key, s.cursor_field, s.columns, s.contract,
  i.id as schedule_instance_id, i.provenance_config_snapshot, i.expr_proto_snapshot, i.trigger_params, c.cursor_type_code
from strandline.ing_plan p join strandline.ing_stream s on s.id = p.stream_id join strandline.ing_schedule_instance i on i.id = p.schedule_instance_id
left join strandline.ing_cursor c on c.id = p.cursor_id where p.id = $1;

-- name: plan.find_task
-- The task of the value of key $1, whatever its state.
select t.id, t.status_code, t.plan_id, t.slice_id from strandline.ing_task t where t.kind_code = 'VALUE' and t.idempotent_key = $1;

-- name: plan.grow
-- Plan $1, locked, has $2 slices more.
update strandline.ing_plan set total_slices = total_slices + $2::bigint where id = $1;

-- name: plan.has_records
-- Whether any record of cursor $1 was ever stored: a window that turned out to be empty makes no table.
select exists (select from strandline.ing_coverage where cursor_id = $1 and record_count > 0) as known;

-- name: plan.hold_cursor
-- Holds what is and will be planned on cursor $1, or, with $2 false, lets it go on.
update strandline.ing_cursor set held = $2::boolean where id = $1 and held <> $2::boolean returning id;

-- name: plan.in_flight
-- Plans other than $5 with live tasks of cursor $1 in generation $2 that overlap [$3, $4). Where the look begins: plan.missing.
select distinct plan_id from strandline.ing_task
where cursor_id = $1 and generation = $2 and status_code in ('QUEUED', 'RUNNING') and lo < $4 and hi > $3 and plan_id <> $5
  and lo >= coalesce((select j.lo from (select t.lo, t.status_code from strandline.ing_task t where t.cursor_id = $1 and t.generation = $2 and t.status_code <> 'SUCCEEDED' and t.lo <= $3::bigint
     order by t.lo desc limit 1000) j where j.status_code in ('QUEUED', 'RUNNING') order by j.lo desc limit 1), '-9223372036854775808'::bigint) order by plan_id;

-- name: plan.insert
-- Writes a plan: $1 key, $2 instance, $3 stream, $4 cursor, $5 provenance, $6 operation, $7 strategy, $8 its parameters, $9 from, $10 to, $11 spec,
-- $12 zone, $13 expression hash, $14 generation, $15 slices, $16 status, $17 reason code, $18 reason, $19 pool.
insert into strandline.ing_plan (plan_key, schedule_instance_id, stream_id, cursor_id, provenance_code, operation_code, slice_strategy_code, slice_params,
  window_from, window_to, window_spec, time_zone, expr_proto_hash, generation, total_slices, status_code, reason_code, reason, pool, finished_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, case when $16::text <> 'ACTIVE' then clock_timestamp() end) returning id;

-- name: plan.instance
-- Writes a trigger, or nothing where it is known: $1 provenance, $2 scheduler, $3 job, $4 log, $5 type, $6 request, $7 request hash,
-- $8 configuration, $9 its hash, $10 expression, $11 its hash, $12 actor. A second sender waits here for the first one's commit.
insert into strandline.ing_schedule_instance (provenance_code, scheduler_code, scheduler_job_id, scheduler_log_id, trigger_type_code, trigger_params, request_hash,
  provenance_config_snapshot, provenance_config_hash, expr_proto_snapshot, expr_proto_hash, actor)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (scheduler_code, scheduler_job_id, scheduler_log_id) do nothing
returning id, (extract(epoch from triggered_at) * 1000000)::bigint as triggered_at;

-- name: plan.instance_find
-- The trigger: $1 scheduler, $2 job, $3 log.
select id, request_hash, provenance_code, (extract(epoch from triggered_at) * 1000000)::bigint as triggered_at, created_at::text as created
from strandline.ing_schedule_instance where scheduler_code = $1 and scheduler_job_id = $2 and scheduler_log_id = $3;

-- name: plan.lock
-- Takes the turn of the planners of cursor $1. It changes the row, so that a waiting planner under a stricter isolation level fails instead of reading old sets.
update strandline.ing_cursor set version = version + 1 where id = $1
returning cursor_type_code, origin, value_norm, generation, minimum_generation, head_sequence_no, held;

-- name: plan.missing
-- The parts of [$3, $4) that nobody has covered or holds: cursor $1, generation $2. After plan.lock, in a statement of its own. Merged intervals do not overlap, nor do live
-- tasks, because each was planned where this found nothing or was itself queued again: so of those that begin before the window only the last one can reach into it. It is looked for among the last thousand that
-- are not over in success; behind more closed ones than that, all before the window are read.
select lower(r) as lo, upper(r) as hi from unnest(int8multirange(int8range($3::bigint, $4::bigint))
 - coalesce((select range_agg(int8range(lo, hi)) from strandline.ing_interval where cursor_id = $1 and generation = $2 and hi > $3 and lo < $4
   and lo >= coalesce((select max(j.lo) from strandline.ing_interval j where j.cursor_id = $1 and j.generation = $2 and j.lo <= $3::bigint), $3::bigint)), '{}')
 - coalesce((select range_agg(int8range(lo, hi)) from strandline.ing_coverage where cursor_id = $1 and generation = $2 and event_sequence_no is null and hi > $3 and lo < $4), '{}')
 - coalesce((select range_agg(int8range(lo, hi)) from strandline.ing_task where cursor_id = $1 and generation = $2 and status_code in ('QUEUED', 'RUNNING') and hi > $3 and lo < $4
   and lo >= coalesce((select j.lo from (select t.lo, t.status_code from strandline.ing_task t where t.cursor_id = $1 and t.generation = $2 and t.status_code <> 'SUCCEEDED' and t.lo <= $3::bigint
     order by t.lo desc limit 1000) j where j.status_code in ('QUEUED', 'RUNNING') order by j.lo desc limit 1), '-9223372036854775808'::bigint)), '{}')) r;

-- name: plan.new_generation
-- A reread: the next generation of cursor $1; the mark stays where it is.
update strandline.ing_cursor set generation = generation + 1 where id = $1 returning generation;

-- name: plan.next_ids
-- $1 fresh ids of slices and as many of tasks.
select array(select nextval(pg_get_serial_sequence('strandline.ing_plan_slice', 'id')) from generate_series(1, $1::int)) as slices,
  array(select nextval(pg_get_serial_sequence('strandline.ing_task', 'id')) from generate_series(1, $1::int)) as tasks;

-- name: plan.partitions
-- Whether the partitions reach one width beyond task id $1.
select to_regclass('strandline.ing_coverage_p' || ($1::bigint / 1000000 + 1)) is not null as there;

-- name: plan.partitions_ahead
-- Attaches partitions up to one width beyond task id $1.
select strandline.partition_ahead($1::bigint);

-- name: plan.pools
-- The pools in which the tasks of plans $1 lie.
select p.id, coalesce(p.pool, 'default') as pool from strandline.ing_plan p where p.id = any($1::bigint[]) order by p.id;

-- name: plan.reopen
-- Queues closed tasks again for plan $1: $2 ids, ascending, locked; $3 priority, $4 pool, $5 mutex key, $6 max_attempts, $7 max_losses, $8 delay in microseconds, $9 deadline, $10 whether they are held.
update strandline.ing_task t set status_code = 'QUEUED', attempt_no = t.attempt_no + 1, plan_id = $1, reason_code = 'REOPENED', failures = 0, losses = 0,
  cancel_requested_at = null, finished_at = null, scheduled_at = clock_timestamp() + $8::bigint * interval '1 microsecond', priority = $3, pool = $4, mutex_key = $5, mutex_waiting = $5::text is not null,
  max_attempts = $6, max_losses = $7, deadline_at = to_timestamp($9::float8 / 1000000), held = $10,
  unmet = (select count(*) from strandline.ing_task_dependency e where e.task_id = t.id and not e.satisfied)
where t.id = any($2::bigint[]) and t.status_code in ('CANCELLED', 'FAILED') returning t.id;

-- name: plan.reopen_lock
-- Takes closed tasks $1 in order before they are queued again or superseded.
select id, status_code, plan_id from strandline.ing_task where id = any($1::bigint[]) order by id for no key update;

-- name: plan.slice_numbers
-- The highest number of a slice of plan $1.
select coalesce(max(slice_no), 0) as last from strandline.ing_plan_slice where plan_id = $1;

-- name: plan.slices_copy
-- COPY of new slices.
copy strandline.ing_plan_slice (id, plan_id, slice_no, slice_signature, task_key, slice_spec, lo, hi, expr_hash, expr_snapshot) from stdin (format binary);

-- name: plan.split_look
-- All that the new slices of task $1 take over from it.
select t.id, t.kind_code, t.status_code, t.plan_id, t.slice_id, t.cursor_id, t.generation, t.lo, t.hi, t.batch_no, t.attempt_no, t.walk_no, t.provenance_code, t.operation_code, t.credential, t.params,
  t.priority, t.pool, t.mutex_key, t.labels, t.max_attempts, t.max_losses, t.held, t.unmet, t.cancel_requested_at is not null as cancel, (extract(epoch from t.scheduled_at - clock_timestamp()) * 1000000)::bigint as delay,
  (extract(epoch from t.deadline_at) * 1000000)::bigint as deadline, i.expr_proto_snapshot, c.namespace_scope_code, c.namespace_key, c.cursor_key, c.cursor_type_code, c.time_zone,
  c.operation_code as space_operation, exists (select from strandline.ing_task_dependency e where e.requires_task_id = t.id and not e.satisfied) as needed
from strandline.ing_task t join strandline.ing_plan p on p.id = t.plan_id join strandline.ing_schedule_instance i on i.id = p.schedule_instance_id
left join strandline.ing_cursor c on c.id = t.cursor_id where t.id = $1;

-- name: plan.supersede
-- Marks slices $1 as cut anew, or, with $2 false, as wanted again.
update strandline.ing_plan_slice set superseded = $2::boolean where id = any($1::bigint[]) and superseded <> $2::boolean;

-- name: plan.task_has_rows
-- Whether task $1 has put rows into its target.
select exists (select from strandline.ing_task_run_batch where task_id = $1 and inserted_count > 0) as known;

-- name: plan.tasks_copy
-- COPY of new tasks.
copy strandline.ing_task (id, idempotent_key, kind_code, plan_id, slice_id, cursor_id, generation, lo, hi, provenance_code, operation_code, credential, params,
  expr_hash, priority, pool, mutex_key, labels, mutex_waiting, unmet, held, reason_code, max_attempts, max_losses, scheduled_at, deadline_at, status_code) from stdin (format binary);

-- name: plan.token
-- The token from which the walk of cursor $1 goes on in generation $2: of the batch that ends its covered prefix, or the last one before it that had any.
select b.after_token from strandline.ing_coverage c join strandline.ing_task_run_batch b on b.task_id = c.task_id and b.batch_no <= c.batch_no and b.walk_no = (
    select x.walk_no from strandline.ing_task_run_batch x where x.task_id = c.task_id and x.batch_no = c.batch_no)
where c.cursor_id = $1 and c.generation = $2 and b.after_token is not null order by c.hi desc, b.batch_no desc limit 1;

-- name: plan.token_end
-- The ordinal up to which cursor $1 is covered in generation $2, folded or not; null for nothing.
select greatest((select max(hi) from strandline.ing_interval where cursor_id = $1 and generation = $2),
  (select max(hi) from strandline.ing_coverage where cursor_id = $1 and generation = $2 and event_sequence_no is null)) as hi;

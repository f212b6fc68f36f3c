-- Questions about plans, tasks, cursors and workers. Nothing here locks or writes.

-- name: status.cursor
-- Cursor $1.
select c.id, c.provenance_code, c.operation_code, c.cursor_key, c.namespace_scope_code, c.cursor_type_code, c.time_zone, c.origin, c.value, c.value_norm, c.observed_max,
  c.generation, c.minimum_generation, c.head_sequence_no
from strandline.ing_cursor c where c.id = $1;

-- name: status.cursors
-- Cursors of source $1, null for all; into $2 (schema.table, or a table of any schema), null for all.
select c.id, c.provenance_code, c.operation_code, c.cursor_key, c.namespace_scope_code, c.cursor_type_code, c.time_zone, c.origin, c.value, c.value_norm, c.observed_max,
  c.generation, c.minimum_generation, c.head_sequence_no
from strandline.ing_cursor c
where ($1::text is null or c.provenance_code = $1) and ($2::text is null or c.cursor_key = $2 or c.cursor_key like '%.' || replace(replace(replace($2, '\', '\\'), '_', '\_'), '%', '\%'))
order by c.id;

-- name: status.failures
-- Tasks that were given up, at most $7: of plan $1, or of plans $2 where they meet [$5, $6) of cursor $3 in generation $4.
select t.id as task_id, t.lo, t.hi, t.attempt_no as attempts, t.last_error, t.reason_code, t.status_code, t.plan_id, count(*) over () as total
from strandline.ing_task t
where t.status_code in ('FAILED', 'CANCELLED') and (t.plan_id = $1
  or (t.plan_id = any($2::bigint[]) and t.cursor_id = $3 and t.generation = $4 and t.lo < $6::bigint and t.hi > $5::bigint))
order by t.status_code desc, t.lo, t.id limit $7;

-- name: status.live
-- Tasks that are not over: of plan $1, or of plans $2 where they meet [$5, $6) of cursor $3 in generation $4.
-- With how many microseconds it is until the next queued one is due.
select count(*) as live, count(*) filter (where t.status_code = 'RUNNING') as running, count(*) filter (where t.held) as held,
  (extract(epoch from min(t.scheduled_at) filter (where t.status_code = 'QUEUED') - clock_timestamp()) * 1000000)::bigint as due
from strandline.ing_task t
where t.status_code in ('QUEUED', 'RUNNING') and (t.plan_id = $1
  or (t.plan_id = any($2::bigint[]) and t.cursor_id = $3 and t.generation = $4 and t.lo < $6::bigint and t.hi > $5::bigint));

-- name: status.others
-- How far the slices are that plans $1 hold in [$4, $5) of cursor $2 in generation $3.
select count(*) as slices, count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded,
  coalesce(sum((select sum(b.record_count) from strandline.ing_task_run_batch b where b.task_id = t.id and b.plan_id = t.plan_id)), 0)::bigint as rows
from strandline.ing_task t where t.plan_id = any($1::bigint[]) and t.cursor_id = $2 and t.generation = $3 and t.lo < $5::bigint and t.hi > $4::bigint;

-- name: status.plan_pages
-- What the pages of plan $1 did.
select count(*) as batches, coalesce(sum(b.record_count), 0)::bigint as rows, coalesce(sum(b.inserted_count), 0)::bigint as inserted, coalesce(sum(b.updated_count), 0)::bigint as updated,
  coalesce(sum(b.unchanged_count), 0)::bigint as unchanged, coalesce(sum(b.deleted_count), 0)::bigint as deleted, coalesce(sum(b.rejected_count), 0)::bigint as rejected
from strandline.ing_task t join strandline.ing_task_run_batch b on b.task_id = t.id and b.plan_id = t.plan_id
where t.plan_id = $1;

-- name: status.plan_slices
-- Bounds of the tasks of plan $1, at most $2.
select t.lo, t.hi from strandline.ing_task t where t.plan_id = $1 and t.lo is not null order by t.lo limit $2;

-- name: status.plan_tasks
-- How many tasks of plan $1 are in which state.
select count(*) as slices, count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded, count(*) filter (where t.status_code = 'FAILED') as failed,
  count(*) filter (where t.status_code = 'CANCELLED') as cancelled, count(*) filter (where t.status_code in ('QUEUED', 'RUNNING')) as pending
from strandline.ing_task t where t.plan_id = $1;

-- name: status.plans
-- Plans, newest first, at most $5: plan $1, source $2, state $3, made since $4; null for any.
select p.id as plan, p.provenance_code as source, s.stream, s.target_schema || '.' || s.target_table as target, p.operation_code as operation, p.status_code as status,
  p.reason, p.cursor_id, c.cursor_type_code, p.time_zone, p.window_from, p.window_to, p.total_slices as slices, p.created_at, p.finished_at, n.succeeded, n.failed, n.running, n.queued, n.cancelled
from strandline.ing_plan p join strandline.ing_stream s on s.id = p.stream_id left join strandline.ing_cursor c on c.id = p.cursor_id
cross join lateral (select count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded, count(*) filter (where t.status_code = 'FAILED') as failed,
  count(*) filter (where t.status_code = 'RUNNING') as running, count(*) filter (where t.status_code = 'QUEUED') as queued,
  count(*) filter (where t.status_code = 'CANCELLED') as cancelled from strandline.ing_task t where t.plan_id = p.id) n
where ($1::bigint is null or p.id = $1) and ($2::text is null or p.provenance_code = $2) and ($3::text is null or p.status_code = $3) and ($4::timestamptz is null or p.created_at >= $4)
order by p.id desc limit $5;

-- name: status.pool_live
-- Tasks of pool $1 that are not over, and when the next one is due, in microseconds from now.
select count(*) as live, count(*) filter (where t.status_code = 'RUNNING') as running, count(*) filter (where t.held) as held,
  (extract(epoch from min(t.scheduled_at) filter (where t.status_code = 'QUEUED') - clock_timestamp()) * 1000000)::bigint as due
from strandline.ing_task t where t.status_code in ('QUEUED', 'RUNNING') and t.pool = $1 and exists (select from strandline.ing_plan p where p.id = t.plan_id and p.status_code = 'ACTIVE');

-- name: status.task_cursor
-- The cursor and plan of task $1.
select t.cursor_id, t.plan_id from strandline.ing_task t where t.id = $1;

-- name: status.tasks
-- Tasks with their last run, at most $4: task $1, plan $2, state $3; null for any.
select t.id as task, t.plan_id as plan, t.provenance_code as source, t.lo, t.hi, c.cursor_type_code, c.time_zone, t.status_code as status, t.reason_code as reason, t.priority, t.pool,
  t.attempt_no as attempt, t.walk_no as walk, greatest(t.batch_no, r.batch_no) as pages, t.failures, t.losses, t.unmet, t.mutex_waiting, t.mutex_key, t.held, t.scheduled_at, t.deadline_at,
  t.cancel_requested_at, t.last_error, r.worker, r.leased_until, r.heartbeat_at, r.status_code as run_status, clock_timestamp() as at
from strandline.ing_task t left join strandline.ing_cursor c on c.id = t.cursor_id
left join lateral (select x.* from strandline.ing_task_run x where x.task_id = t.id order by x.attempt_no desc limit 1) r on true
where ($1::bigint is null or t.id = $1) and ($2::bigint is null or t.plan_id = $2) and ($3::text is null or t.status_code = $3)
order by t.plan_id desc, t.lo, t.id limit $4;

-- name: status.workers
-- Workers that are at work, or were seen in the last $1 seconds.
select w.worker, w.host, w.pid, w.version, w.pools, w.status_code as status, w.started_at, w.heartbeat_at, w.stopped_at
from strandline.ing_worker w where w.status_code = 'ACTIVE' and w.heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second' order by w.worker;

-- Questions about plans, tasks, cursors and workers. Nothing here locks or writes.

-- name: status.audit
-- The last time that somebody asked for one of verbs $2 on one of subjects $1.
select e.verb, e.subject, e.actor, e.reason, e.created_at from unnest($1::text[]) x(subject)
cross join lateral (select a.* from strandline.ing_audit_event a where a.subject = x.subject and a.verb = any($2::text[]) order by a.id desc limit 1) e
order by e.id desc limit 1;

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

-- name: status.ending
-- Tasks that run and were asked to end, at most $4: task $1, those of plan $2, those of cursor $3; null for none.
select t.id as task from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id and t.attempt_no = r.attempt_no
where r.finished_at is null and t.status_code = 'RUNNING' and t.cancel_requested_at is not null and (t.id = $1::bigint or t.plan_id = $2::bigint or t.cursor_id = $3::bigint) order by t.id limit $4;

-- name: status.failures
-- Tasks that were given up, at most $7: of plan $1, or of plans $2 where they meet [$5, $6) of cursor $3 in generation $4. Those that were cut anew have gone on in others.
-- The attempts are those that ended: the number of a task that was queued again is that of one that may never have begun.
select t.id as task_id, t.lo, t.hi, coalesce((select max(r.attempt_no) from strandline.ing_task_run r where r.task_id = t.id and r.status_code not in ('PLANNED', 'RUNNING')), 0)::int as attempts, t.last_error, t.reason_code, t.status_code, t.plan_id, count(*) over () as total
from strandline.ing_task t
where t.status_code in ('FAILED', 'CANCELLED') and t.reason_code is distinct from 'SPLIT' and (t.plan_id = $1
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

-- name: status.mutex
-- Mutex $1: its places, how many are taken, and who has them, at most $2: those that run, then those that may.
select m.slots, m.admitted, h.task, h.plan, h.worker from strandline.ing_mutex m left join lateral (
  (select t.id as task, t.plan_id as plan, r.worker from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id and t.attempt_no = r.attempt_no
    where r.finished_at is null and t.status_code = 'RUNNING' and t.mutex_key = m.key)
  union all
  (select t.id, t.plan_id, null from strandline.ing_task t where t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held and t.mutex_key = m.key)
  limit least($2::bigint, m.admitted)) h on true
where m.key = $1;

-- name: status.needs
-- What task $1 waits for, or fell with, at most $2: dependencies that are not satisfied. A gate stands for a plan, or for a cursor up to a bound.
select e.requires_task_id as parent, e.kind_code, p.kind_code = 'GATE' as gate, p.cursor_id, case when p.kind_code = 'GATE' then (p.params ->> 'plan')::bigint end as plan,
  case when p.kind_code = 'GATE' then p.lo end as bound
from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id where e.task_id = $1 and not e.satisfied order by e.requires_task_id desc limit $2;

-- name: status.others
-- How far the slices are that plans $1 hold in [$4, $5) of cursor $2 in generation $3.
select count(*) as slices, count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded,
  coalesce(sum((select sum(b.record_count) from strandline.ing_task_run_batch b where b.task_id = t.id and b.plan_id = t.plan_id)), 0)::bigint as rows
from strandline.ing_task t where t.plan_id = any($1::bigint[]) and t.cursor_id = $2 and t.generation = $3 and t.lo < $5::bigint and t.hi > $4::bigint and t.reason_code is distinct from 'SPLIT';

-- name: status.overdue
-- Whether the deadline of a queued task has passed: nobody may claim it, and a reaper ends it.
select exists (select from strandline.ing_task t where t.status_code = 'QUEUED' and t.deadline_at <= clock_timestamp()) as overdue;

-- name: status.plan_holders
-- Tasks that keep plan $1 from its success, at most $2: what failed, was cancelled, runs, waits.
select x.id from unnest(array['FAILED', 'CANCELLED', 'RUNNING', 'QUEUED']) with ordinality s(code, n) cross join lateral (select t.id, t.reason_code = 'UPSTREAM_FAILED' as fell
  from strandline.ing_task t where t.plan_id = $1 and t.status_code = s.code and t.reason_code is distinct from 'SPLIT' limit $2::bigint) x order by s.n, x.fell, x.id limit $2::bigint;

-- name: status.plan_pages
-- What the pages of plan $1 did.
select count(*) as batches, coalesce(sum(b.record_count), 0)::bigint as rows, coalesce(sum(b.inserted_count), 0)::bigint as inserted, coalesce(sum(b.updated_count), 0)::bigint as updated,
  coalesce(sum(b.unchanged_count), 0)::bigint as unchanged, coalesce(sum(b.deleted_count), 0)::bigint as deleted, coalesce(sum(b.rejected_count), 0)::bigint as rejected
from strandline.ing_task t join strandline.ing_task_run_batch b on b.task_id = t.id and b.plan_id = t.plan_id
where t.plan_id = $1;

-- name: status.plan_slices
-- Bounds of the tasks of plan $1, at most $2.
select t.lo, t.hi from strandline.ing_task t where t.plan_id = $1 and t.lo is not null and t.reason_code is distinct from 'SPLIT' order by t.lo limit $2;

-- name: status.plan_tasks
-- How many tasks of plan $1 are in which state. Those that were cut anew count as nothing: others have their place. They are counted apart, so that an index is enough for the rest.
select count(t.plan_id) - s.n as slices, count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded, count(*) filter (where t.status_code = 'FAILED') as failed,
  count(*) filter (where t.status_code = 'CANCELLED') - s.n as cancelled, count(*) filter (where t.status_code in ('QUEUED', 'RUNNING')) as pending
from (select count(*) as n from strandline.ing_task c where c.plan_id = $1 and c.status_code = 'CANCELLED' and c.reason_code = 'SPLIT') s
left join strandline.ing_task t on t.plan_id = $1 group by s.n;

-- name: status.plans
-- Plans, newest first, at most $5: plan $1, source $2, state $3, made since $4; null for any.
select p.id as plan, p.provenance_code as source, s.stream, s.target_schema || '.' || s.target_table as target, p.operation_code as operation, p.status_code as status,
  p.reason, p.cursor_id, c.cursor_type_code, p.time_zone, p.window_from, p.window_to, p.total_slices as slices, p.created_at, p.finished_at, n.succeeded, n.failed, n.running, n.queued, n.cancelled
from strandline.ing_plan p join strandline.ing_stream s on s.id = p.stream_id left join strandline.ing_cursor c on c.id = p.cursor_id
cross join lateral (select count(*) filter (where t.status_code = 'SUCCEEDED') as succeeded, count(*) filter (where t.status_code = 'FAILED') as failed,
  count(*) filter (where t.status_code = 'RUNNING') as running, count(*) filter (where t.status_code = 'QUEUED') as queued,
  count(*) filter (where t.status_code = 'CANCELLED') - (select count(*) from strandline.ing_task c where c.plan_id = p.id and c.status_code = 'CANCELLED' and c.reason_code = 'SPLIT') as cancelled
  from strandline.ing_task t where t.plan_id = p.id) n
where ($1::bigint is null or p.id = $1) and ($2::text is null or p.provenance_code = $2) and ($3::text is null or p.status_code = $3) and ($4::timestamptz is null or p.created_at >= $4)
order by p.id desc limit $5;

-- name: status.plans_left
-- What a worker without work asks of plans $1 and of plans $2 where they meet [$5, $6) of cursor $3 in generation $4: does anything run, is anything queued that nobody holds, and in how many
-- microseconds is the next one due. It looks at the ends of indexes, the far one first, where no dead entries lie, and counts nothing.
select exists (select from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id where r.finished_at is null and t.status_code = 'RUNNING'
    and (t.plan_id = any($1::bigint[]) or (t.plan_id = any($2::bigint[]) and t.cursor_id = $3 and t.generation = $4 and t.lo < $6::bigint and t.hi > $5::bigint))) as running,
  coalesce((select true from unnest($1::bigint[]) p(id) cross join lateral (select t.id from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
     order by t.priority desc, t.scheduled_at desc, t.id desc limit 1) x limit 1),
    (select true from unnest($2::bigint[]) p(id) cross join lateral (select t.id from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held and t.cursor_id = $3 and t.generation = $4 and t.lo < $6::bigint and t.hi > $5::bigint
     order by t.priority desc, t.scheduled_at desc, t.id desc limit 1) x limit 1),
    exists (select from unnest($1::bigint[]) p(id) cross join lateral (select from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and not t.held limit 1) x)
    or exists (select from unnest($2::bigint[]) p(id) cross join lateral (select from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and not t.held and t.cursor_id = $3 and t.generation = $4 and t.lo < $6::bigint and t.hi > $5::bigint limit 1) x)) as queued,
  (select (extract(epoch from min(x.scheduled_at) - clock_timestamp()) * 1000000)::bigint from unnest($1::bigint[] || $2::bigint[]) p(id) cross join generate_series(1, 9) a(priority)
   cross join lateral (select t.scheduled_at from strandline.ing_task t where t.plan_id = p.id and t.priority = a.priority and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
     order by t.priority, t.scheduled_at, t.id limit 1) x) as due;

-- name: status.pool
-- Pool $1: its limit, how many of its places are taken, and by whom, at most $2.
select p.slots, count(o.task_id) over () as taken, o.task_id as task, t.plan_id as plan, r.worker
from strandline.ing_pool p left join strandline.ing_pool_slot o on o.pool = p.pool and o.task_id is not null left join strandline.ing_task t on t.id = o.task_id
left join strandline.ing_task_run r on r.task_id = o.task_id and r.attempt_no = o.attempt_no where p.pool = $1 order by o.task_id limit $2;

-- name: status.pool_left
-- The same of pool $1.
select exists (select from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id where r.finished_at is null and t.status_code = 'RUNNING' and t.pool = $1) as running,
  coalesce((select true from (select t.id from strandline.ing_task t where t.pool = $1 and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
     order by t.priority desc, t.scheduled_at desc, t.id desc limit 1) x),
    exists (select from strandline.ing_plan p cross join lateral (select from strandline.ing_task t where t.plan_id = p.id and t.status_code = 'QUEUED' and not t.held limit 1) x
      where p.status_code = 'ACTIVE' and p.pool = $1)) as queued,
  (select (extract(epoch from min(x.scheduled_at) - clock_timestamp()) * 1000000)::bigint from generate_series(1, 9) a(priority)
   cross join lateral (select t.scheduled_at from strandline.ing_task t where t.pool = $1 and t.priority = a.priority and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
     order by t.priority, t.scheduled_at, t.id limit 1) x) as due;

-- name: status.pool_live
-- Tasks of pool $1 that are not over, and when the next one is due, in microseconds from now.
select count(*) as live, count(*) filter (where t.status_code = 'RUNNING') as running, count(*) filter (where t.held) as held,
  (extract(epoch from min(t.scheduled_at) filter (where t.status_code = 'QUEUED') - clock_timestamp()) * 1000000)::bigint as due
from strandline.ing_task t where t.status_code in ('QUEUED', 'RUNNING') and t.pool = $1 and exists (select from strandline.ing_plan p where p.id = t.plan_id and p.status_code = 'ACTIVE');

-- name: status.pool_workers
-- Who serves pool $1 or single plans, and was seen in the last $2 seconds: how many of each, and how many of them may claim.
select count(*) filter (where $1 = any(w.pools)) as serving, count(*) filter (where $1 = any(w.pools) and not x.wished) as free,
  count(*) filter (where w.pools = '{}') as of_plans, (array_agg(w.worker order by w.worker) filter (where $1 = any(w.pools) and x.wished))[1] as wished
from strandline.ing_worker w cross join lateral (select exists (select from strandline.ing_worker q
  where q.worker = any(array[w.worker, regexp_replace(w.worker, ':[^:]*$', ''), w.host]) and q.status_code in ('QUARANTINED', 'DRAINING')) as wished) x
where w.status_code <> 'STOPPED' and w.stopped_at is null and w.version <> '' and w.heartbeat_at > clock_timestamp() - $2::float8 * interval '1 second';

-- name: status.stream_holders
-- Tasks that keep the watermark of cursor $1 below bound $2, at most $3, the first part of the window first.
select t.id from strandline.ing_cursor c join strandline.ing_task t on t.cursor_id = c.id and t.generation >= c.minimum_generation and t.status_code <> 'SUCCEEDED' and t.lo < $2::bigint and t.hi > c.value_norm
join strandline.ing_plan_slice s on s.id = t.slice_id and not s.superseded where c.id = $1 and t.reason_code is distinct from 'SPLIT' order by t.lo, t.id limit $3;

-- name: status.task_cursor
-- The cursor and plan of task $1.
select t.cursor_id, t.plan_id from strandline.ing_task t where t.id = $1;

-- name: status.tasks
-- Tasks with their last run, and the end of the last run that has one, at most $4: task $1, plan $2, state $3; null for any. Gates are no work, and are left out.
select t.id as task, t.plan_id as plan, t.provenance_code as source, t.lo, t.hi, c.cursor_type_code, c.time_zone, t.status_code as status, t.reason_code as reason, t.priority, t.pool,
  t.attempt_no as attempt, t.walk_no as walk, greatest(t.batch_no, r.batch_no) as pages, t.failures, t.losses, t.unmet, t.mutex_waiting, t.mutex_key, t.held, t.scheduled_at, t.deadline_at,
  t.cancel_requested_at, t.cursor_id, t.finished_at, t.last_error, r.worker, r.leased_until, r.heartbeat_at, r.status_code as run_status, clock_timestamp() as at,
  e.attempt_no as ended_attempt, e.worker as ended_worker, e.status_code as ended_status, e.end_reason_code as ended_reason, e.ended_by, e.finished_at as ended_at, e.errors as ended_causes, d.description as ended_meaning
from (select x.* from strandline.ing_task x where ($1::bigint is null or x.id = $1) and ($2::bigint is null or x.plan_id = $2) and ($3::text is null or x.status_code = $3) and x.kind_code <> 'GATE'
  order by x.plan_id desc, x.lo, x.id limit $4) t left join strandline.ing_cursor c on c.id = t.cursor_id
left join lateral (select x.* from strandline.ing_task_run x where x.task_id = t.id order by x.attempt_no desc limit 1) r on true
left join lateral (select x.* from strandline.ing_task_run x where x.task_id = t.id and x.status_code not in ('PLANNED', 'RUNNING') order by x.attempt_no desc limit 1) e on true
left join strandline.ing_dict_item d on d.type_code = 'reason' and d.item_code = e.end_reason_code
order by t.plan_id desc, t.lo, t.id;

-- name: status.turn
-- How many tasks of the pool of task $1 can be claimed before it, at most $2.
select count(*) as before from (select from strandline.ing_task m join strandline.ing_task t on t.pool = m.pool and t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
  and (t.priority, t.scheduled_at, t.id) < (m.priority, m.scheduled_at, m.id) and t.scheduled_at <= clock_timestamp() where m.id = $1 limit $2) x;

-- name: status.upstream
-- Plans that are not over and that plan $1 waits for, from one to the next: its own tasks wait for the same, so that one of them is asked.
with recursive w(plan) as (select $1::bigint union select n.plan from w cross join lateral (select p.id, p.kind_code, p.plan_id, p.cursor_id, p.lo, p.params
     from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id where not e.satisfied and e.task_id = (select t.id from strandline.ing_task t
       where t.plan_id = w.plan and t.status_code = 'QUEUED' and t.unmet > 0 limit 1)) p
   cross join lateral (select p.plan_id as plan where p.kind_code <> 'GATE' union all select (p.params ->> 'plan')::bigint where p.kind_code = 'GATE' and p.cursor_id is null
     union all select x.plan_id from strandline.ing_task x where p.kind_code = 'GATE' and x.cursor_id = p.cursor_id and x.generation > 0 and x.status_code in ('QUEUED', 'RUNNING') and x.lo < p.lo) n)
select w.plan from w join strandline.ing_plan p on p.id = w.plan and p.status_code = 'ACTIVE' where w.plan <> $1 order by w.plan;

-- name: status.workers
-- Workers that are at work, or were seen in the last $1 seconds, and names that something is wished of. A wish on a process or a host holds for its workers.
select w.worker, w.host, w.pid, w.version, w.pools, coalesce((select q.status_code from strandline.ing_worker q where q.worker = any(array[w.worker, regexp_replace(w.worker, ':[^:]*$', ''), w.host])
  and q.status_code in ('QUARANTINED', 'DRAINING') order by q.status_code limit 1), w.status_code) as status, w.started_at, w.heartbeat_at, w.stopped_at
from strandline.ing_worker w where (w.status_code <> 'STOPPED' and w.stopped_at is null and w.version <> '' and w.heartbeat_at > clock_timestamp() - $1::float8 * interval '1 second')
  or w.status_code = 'QUARANTINED' or (w.version = '' and w.status_code = 'DRAINING') order by w.worker;

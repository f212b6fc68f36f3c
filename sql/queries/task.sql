-- Moves of tasks. Every exit of a task is the same sequence: task.lock, the end of its run, task.leave, mutex.admit.

-- name: task.admit
-- Lets waiting tasks of keys $1 through their gates, as many as are free.
with m as materialized (select key, slots - admitted as free from strandline.ing_mutex where key = any($1::text[]) and admitted < slots order by key for no key update),
 w as materialized (select x.id, m.key from m cross join lateral (select id from strandline.ing_task where mutex_key = m.key and mutex_waiting and status_code = 'QUEUED'
   and unmet = 0 and not held and scheduled_at <= clock_timestamp() order by priority, scheduled_at, id limit m.free for no key update skip locked) x),
 t as (update strandline.ing_task t set mutex_waiting = false, scheduled_at = clock_timestamp() where t.id = any(array(select id from w)))
update strandline.ing_mutex g set admitted = g.admitted + c.n from (select key, count(*)::int as n from w group by 1) c where g.key = c.key returning g.key, c.n;

-- name: task.cancel_ask
-- Asks tasks $1 to end; they are locked. The flag survives every lost lease.
update strandline.ing_task set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
where id = any($1::bigint[]) and status_code in ('QUEUED', 'RUNNING') returning id, status_code, attempt_no;

-- name: task.claim_plan
-- Leases up to $1 claimable tasks of plans $5 to worker $3 for $4 microseconds, priority by priority; $2 holds per priority the time below which nothing claimable lies.
with u as (update strandline.ing_task t set status_code = 'RUNNING', started_at = coalesce(t.started_at, clock_timestamp())
  where t.id = any(array(select x.id from generate_series(1, 9) p cross join lateral (select id from strandline.ing_task
    where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held and plan_id = any($5::bigint[]) and priority = p
      and scheduled_at <= statement_timestamp() and scheduled_at >= ($2::timestamptz[])[p]
    order by priority, scheduled_at, id limit $1 for no key update skip locked) x limit $1))
  returning t.id, t.attempt_no, t.walk_no, t.batch_no, t.plan_id, t.slice_id, t.cursor_id, t.generation, t.kind_code, t.lo, t.hi, t.params, t.failures, t.losses,
    t.idempotent_key, t.deadline_at, t.priority, t.scheduled_at),
 r as (insert into strandline.ing_task_run (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no, checkpoint, window_from, window_to)
  select u.id, u.attempt_no, $3, 'PLANNED', clock_timestamp() + $4::bigint * interval '1 microsecond', u.walk_no, u.batch_no,
    (select case when q.walk_no = u.walk_no then q.checkpoint end from strandline.ing_task_run q where q.task_id = u.id order by q.attempt_no desc limit 1), u.lo, u.hi
  from u returning id, task_id, attempt_no, walk_no, batch_no, checkpoint)
select r.id as run_id, r.task_id, r.attempt_no, r.walk_no, r.batch_no, r.checkpoint, u.plan_id, u.slice_id, u.cursor_id, u.generation, u.kind_code, u.lo, u.hi, u.params,
  u.idempotent_key, u.failures, u.losses, (extract(epoch from u.deadline_at) * 1000000)::bigint as deadline, u.priority, (u.scheduled_at - interval '1 minute')::text as low_water, s.slice_spec, s.expr_snapshot
from r join u on u.id = r.task_id join strandline.ing_plan_slice s on s.id = u.slice_id order by u.priority, u.scheduled_at, u.id;

-- name: task.claim_pool
-- The same over pool $5, for workers that serve any plan; $1 .. $4 as in task.claim_plan.
with u as (update strandline.ing_task t set status_code = 'RUNNING', started_at = coalesce(t.started_at, clock_timestamp())
  where t.id = any(array(select x.id from generate_series(1, 9) p cross join lateral (select id from strandline.ing_task
    where status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held and pool = $5 and priority = p
      and scheduled_at <= statement_timestamp() and scheduled_at >= ($2::timestamptz[])[p]
    order by priority, scheduled_at, id limit $1 for no key update skip locked) x limit $1))
  returning t.id, t.attempt_no, t.walk_no, t.batch_no, t.plan_id, t.slice_id, t.cursor_id, t.generation, t.kind_code, t.lo, t.hi, t.params, t.failures, t.losses,
    t.idempotent_key, t.deadline_at, t.priority, t.scheduled_at),
 r as (insert into strandline.ing_task_run (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no, checkpoint, window_from, window_to)
  select u.id, u.attempt_no, $3, 'PLANNED', clock_timestamp() + $4::bigint * interval '1 microsecond', u.walk_no, u.batch_no,
    (select case when q.walk_no = u.walk_no then q.checkpoint end from strandline.ing_task_run q where q.task_id = u.id order by q.attempt_no desc limit 1), u.lo, u.hi
  from u returning id, task_id, attempt_no, walk_no, batch_no, checkpoint)
select r.id as run_id, r.task_id, r.attempt_no, r.walk_no, r.batch_no, r.checkpoint, u.plan_id, u.slice_id, u.cursor_id, u.generation, u.kind_code, u.lo, u.hi, u.params,
  u.idempotent_key, u.failures, u.losses, (extract(epoch from u.deadline_at) * 1000000)::bigint as deadline, u.priority, (u.scheduled_at - interval '1 minute')::text as low_water, s.slice_spec, s.expr_snapshot
from r join u on u.id = r.task_id join strandline.ing_plan_slice s on s.id = u.slice_id order by u.priority, u.scheduled_at, u.id;

-- name: task.deadline_due
-- Up to $1 queued tasks whose deadline has passed.
select id from strandline.ing_task where status_code = 'QUEUED' and deadline_at <= clock_timestamp() order by id limit $1 for no key update skip locked;

-- name: task.doomed
-- Queued descendants that tasks $1 take down with them.
with recursive w(id) as (select task_id from strandline.ing_task_dependency where requires_task_id = any($1::bigint[]) and kind_code = 'ALL_SUCCEEDED'
  union select e.task_id from w join strandline.ing_task_dependency e on e.requires_task_id = w.id and e.kind_code = 'ALL_SUCCEEDED')
select t.id from w join strandline.ing_task t on t.id = w.id where t.status_code = 'QUEUED' order by t.id;

-- name: task.error
-- Keeps the last error $2 of task $1, for people.
update strandline.ing_task set last_error = $2::jsonb where id = $1;

-- name: task.leave
-- The one exit of tasks $1, locked: $2 the state wanted, $3 reason, $4 pause in microseconds, $5 failures and $6 losses to add. Also satisfies dependents,
-- gives back mutex and slot, and turns QUEUED into CANCELLED where that was asked for. Nobody else writes these columns.
with v as materialized (select t.id, t.attempt_no, t.mutex_key, t.mutex_waiting, case when $2::text = 'QUEUED' and t.cancel_requested_at is not null then 'CANCELLED' else $2::text end as want,
   coalesce((select r.batch_no from strandline.ing_task_run r where r.task_id = t.id and r.attempt_no = t.attempt_no), t.batch_no) as batch_no
   from strandline.ing_task t where t.id = any($1::bigint[]) and t.status_code in ('QUEUED', 'RUNNING')),
 t as (update strandline.ing_task t set status_code = v.want, reason_code = case when v.want = $2::text then $3::text else 'CANCELLED' end, batch_no = v.batch_no,
   failures = case when v.batch_no > t.batch_no then 0 else t.failures end + $5::int, losses = case when v.batch_no > t.batch_no then 0 else t.losses end + $6::int,
   attempt_no = t.attempt_no + (v.want = 'QUEUED')::int, mutex_waiting = v.want = 'QUEUED' and v.mutex_key is not null,
   scheduled_at = case when v.want = 'QUEUED' then clock_timestamp() + $4::bigint * interval '1 microsecond' else t.scheduled_at end,
   finished_at = case when v.want <> 'QUEUED' then clock_timestamp() end from v where t.id = v.id),
 d as (update strandline.ing_task_dependency e set satisfied = true from v where e.requires_task_id = v.id and not e.satisfied
   and (v.want = 'SUCCEEDED' or (e.kind_code = 'ALL_RESOLVED' and v.want in ('FAILED', 'CANCELLED'))) returning e.task_id),
 l as materialized (select c.id, x.n from (select task_id, count(*)::int as n from d where task_id <> all($1::bigint[]) group by 1) x
   join strandline.ing_task c on c.id = x.task_id order by c.id for no key update of c),
 k as (update strandline.ing_task c set unmet = c.unmet - l.n, scheduled_at = greatest(c.scheduled_at, clock_timestamp()) from l where c.id = l.id returning c.mutex_key),
 m as materialized (select g.key, x.n from (select mutex_key, count(*)::int as n from v where mutex_key is not null and not mutex_waiting group by 1) x
   join strandline.ing_mutex g on g.key = x.mutex_key order by g.key for no key update of g),
 g as (update strandline.ing_mutex g set admitted = g.admitted - m.n from m where g.key = m.key),
 s as (update strandline.ing_pool_slot s set task_id = null, attempt_no = null from v where s.task_id = v.id and s.attempt_no = v.attempt_no)
select v.id, v.want, array(select mutex_key from v where mutex_key is not null union select mutex_key from k where mutex_key is not null) as admit from v;

-- name: task.lock
-- Takes tasks $1 and the children that their exit will touch, in order of id.
select t.id, t.status_code, t.attempt_no, t.cancel_requested_at is not null as cancel, t.held, t.batch_no, t.failures, t.losses, t.max_attempts, t.max_losses, t.plan_id, t.cursor_id
from strandline.ing_task t where t.id = any(array(select unnest($1::bigint[]) union
 select task_id from strandline.ing_task_dependency where requires_task_id = any($1::bigint[]) and not satisfied)) order by t.id for no key update;

-- name: task.mutex
-- Makes the gate $1 if it is new.
insert into strandline.ing_mutex (key) values ($1) on conflict (key) do nothing;

-- name: task.mutex_idle
-- Gates that are free while a due task waits before them.
select distinct m.key from strandline.ing_mutex m join strandline.ing_task t on t.mutex_key = m.key and t.mutex_waiting and t.status_code = 'QUEUED' and t.unmet = 0
  and not t.held and t.scheduled_at <= clock_timestamp() where m.admitted < m.slots;

-- name: task.next_due
-- Seconds until the next claimable task of plans $1 is due; null for none.
select min(extract(epoch from scheduled_at - clock_timestamp()))::float8 as wait from strandline.ing_task
where plan_id = any($1::bigint[]) and status_code = 'QUEUED' and unmet = 0 and not mutex_waiting and not held;

-- name: task.of_cursor
-- Live or closed tasks of cursor $1 in state $2.
select id from strandline.ing_task where cursor_id = $1 and status_code <> 'SUCCEEDED' and status_code = any($2::text[]) order by id;

-- name: task.of_plan
-- Tasks of plan $1 in states $2.
select id from strandline.ing_task where plan_id = $1 and status_code = any($2::text[]) order by id;

-- name: task.orphans
-- Up to $1 queued tasks of local providers whose process has not been seen for $2 microseconds.
select t.id from strandline.ing_task t join strandline.ing_worker w on t.pool = 'local:' || w.worker
where t.status_code = 'QUEUED' and (w.status_code = 'STOPPED' or w.heartbeat_at < clock_timestamp() - $2::bigint * interval '1 microsecond') order by t.id limit $1
for no key update of t skip locked;

-- name: task.retry
-- Queues the closed task $1 again. No row: a parent stays fallen, or the task is not closed.
update strandline.ing_task t set status_code = 'QUEUED', attempt_no = t.attempt_no + 1, reason_code = 'RETRIED', failures = 0, losses = 0, cancel_requested_at = null,
 finished_at = null, scheduled_at = clock_timestamp(), mutex_waiting = t.mutex_key is not null,
 unmet = (select count(*) from strandline.ing_task_dependency e where e.task_id = t.id and not e.satisfied)
where t.id = $1 and t.status_code in ('FAILED', 'CANCELLED') and not exists (select 1 from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id
  where e.task_id = t.id and e.kind_code = 'ALL_SUCCEEDED' and not e.satisfied and p.status_code in ('FAILED', 'CANCELLED')) returning t.id, t.attempt_no, t.mutex_key;

-- name: task.retry_find
-- Closed tasks $1 and the descendants that fell with them, with what a retry has to check first.
with recursive w(id) as (select unnest($1::bigint[]) union select t.id from w join strandline.ing_task_dependency e on e.requires_task_id = w.id
  join strandline.ing_task t on t.id = e.task_id where t.status_code = 'FAILED' and t.reason_code = 'UPSTREAM_FAILED')
select t.id, t.plan_id, t.cursor_id, t.generation, t.lo, t.hi, t.status_code, s.superseded from w join strandline.ing_task t on t.id = w.id
join strandline.ing_plan_slice s on s.id = t.slice_id order by t.id;

-- name: task.retry_plans
-- Opens plans $1 again, in order. Those that are still open are locked too: a close that waits for this must see the queued tasks,
-- and a close that this waits for must be undone.
update strandline.ing_plan p set status_code = 'ACTIVE', finished_at = null where p.id = any(array(select id from strandline.ing_plan
  where id = any($1::bigint[]) order by id for no key update)) returning p.id;

-- name: task.walk_next
-- The next pass over the pages of task $1, locked.
update strandline.ing_task set walk_no = walk_no + 1 where id = $1 returning walk_no;

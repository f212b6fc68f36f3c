-- Moves of tasks. Every exit of a task is the same sequence: task.lock or task.lock_below, the end of its run, task.leave, task.admit.

-- name: task.admit
-- Lets waiting tasks of keys $1 through their mutexes, as many as are free.
with m as materialized (select key, slots - admitted as free from strandline.ing_mutex where key = any($1::text[]) and admitted < slots order by key for no key update),
 w as materialized (select x.id, m.key from m cross join lateral (select id from strandline.ing_task where mutex_key = m.key and mutex_waiting and status_code = 'QUEUED'
   and unmet = 0 and not held and scheduled_at <= clock_timestamp() order by priority, scheduled_at, id limit m.free for no key update skip locked) x),
 t as (update strandline.ing_task t set mutex_waiting = false, scheduled_at = clock_timestamp() where t.id = any(array(select id from w)))
update strandline.ing_mutex g set admitted = g.admitted + c.n from (select key, count(*)::int as n from w group by 1) c where g.key = c.key returning g.key, c.n;

-- name: task.cancel_ask
-- Asks tasks $1 to end; they are locked. The flag survives every lost lease. No row for one that was asked before.
update strandline.ing_task set cancel_requested_at = clock_timestamp()
where id = any($1::bigint[]) and status_code in ('QUEUED', 'RUNNING') and cancel_requested_at is null returning id, status_code, attempt_no;

-- name: task.claim
-- Leases up to $1 claimable tasks of pool $5, or of plans $6 (all of that pool) where there are any, to worker $3 for $4 microseconds, priority by priority; $2 and $7 hold
-- per priority the time and id below which nothing claimable lies. A limited pool gives as many as it has free places; those that are taken beyond
-- a limit that was lowered count against it. What a parameter makes constant is gone when the statement is planned.
with p as materialized (select (select x.slots from strandline.ing_pool x where x.pool = $5) as slots, case when exists (select from strandline.ing_worker w
   where w.worker = any(array[$3::text, regexp_replace($3::text, ':[^:]*$', ''), split_part($3::text, ':', 1)]) and w.status_code in ('QUARANTINED', 'DRAINING')) then 0 else $1::bigint end as most),
 h as materialized (select p.slots - count(*) as free, p.slots - count(*) filter (where o.slot_no > p.slots) as usable from p join strandline.ing_pool_slot o on o.pool = $5 and o.task_id is not null
   where p.slots is not null group by p.slots),
 s as materialized (select f.slot_no, row_number() over () as k from (select o.slot_no from p left join h on true join strandline.ing_pool_slot o on o.slot_no <= coalesce(h.usable, p.slots)
   where o.pool = $5 and o.task_id is null limit (select greatest(0, least($1::bigint, coalesce(h.free, p.slots))) from p left join h on true) for no key update of o skip locked) f),
 u as (update strandline.ing_task t set status_code = 'RUNNING', started_at = coalesce(t.started_at, clock_timestamp())
  where t.id = any(array(select x.id from (select a.priority, q.plan_id from generate_series(1, 9) a(priority)
     cross join unnest(case when cardinality($6::bigint[]) = 0 then array[0]::bigint[] else $6::bigint[] end) q(plan_id) order by a.priority, q.plan_id) lane
   cross join lateral (select t.id from strandline.ing_task t
    where t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held and (cardinality($6::bigint[]) > 0 or t.pool = $5)
      and (cardinality($6::bigint[]) = 0 or t.plan_id = lane.plan_id) and t.priority = lane.priority
      and t.scheduled_at <= statement_timestamp() and (t.scheduled_at, t.id) >= (($2::timestamptz[])[lane.priority], ($7::bigint[])[lane.priority]) and (t.deadline_at is null or t.deadline_at > statement_timestamp())
    order by t.priority, t.scheduled_at, t.id limit $1::bigint for no key update of t skip locked) x
   limit (select case when p.slots is null then p.most else least(p.most, (select count(*) from s)) end from p)))
  returning t.id, t.attempt_no, t.walk_no, t.batch_no, t.plan_id, t.slice_id, t.cursor_id, t.generation, t.kind_code, t.lo, t.hi, t.params, t.failures, t.losses,
    t.idempotent_key, t.deadline_at, t.priority, t.scheduled_at),
 r as (insert into strandline.ing_task_run (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no, checkpoint, reached, window_from, window_to)
  select u.id, u.attempt_no, $3, 'PLANNED', clock_timestamp() + $4::bigint * interval '1 microsecond', u.walk_no, u.batch_no, q.checkpoint, q.reached, u.lo, u.hi
  from u left join lateral (select o.walk_no, o.checkpoint, o.reached from strandline.ing_task_run o where o.task_id = u.id and u.attempt_no > 1 order by o.attempt_no desc limit 1) q on q.walk_no = u.walk_no
  returning id, task_id, attempt_no, walk_no, batch_no, checkpoint, reached),
 b as (update strandline.ing_pool_slot o set task_id = q.task_id, attempt_no = q.attempt_no from (select r.task_id, r.attempt_no, row_number() over () as k from r) q join s using (k)
  where o.pool = $5 and o.slot_no = s.slot_no)
select r.id as run_id, r.task_id, r.attempt_no, r.walk_no, r.batch_no, r.checkpoint, r.reached, u.plan_id, u.slice_id, u.cursor_id, u.generation, u.kind_code, u.lo, u.hi, u.params,
  u.idempotent_key, u.failures, u.losses, (extract(epoch from u.deadline_at) * 1000000)::bigint as deadline, u.priority, u.scheduled_at::text as low_water, s.slice_spec, s.expr_snapshot
from r join u on u.id = r.task_id join strandline.ing_plan_slice s on s.id = u.slice_id order by u.priority, u.scheduled_at, u.id;

-- name: task.deadline_due
-- Up to $1 queued tasks whose deadline has passed, and whether others wait for them, counted by key: an EXISTS or a LIMIT may read all dependencies.
select t.id, (select count(*) from strandline.ing_task_dependency d where d.requires_task_id = t.id and not d.satisfied) > 0 as tied
from strandline.ing_task t where t.status_code = 'QUEUED' and t.deadline_at <= clock_timestamp() order by t.deadline_at limit $1 for no key update of t skip locked;

-- name: task.doomed
-- Queued descendants that tasks $1 take down with them. Lateral, and by key: a join may read every task, whatever few there are.
with recursive w(id) as (select task_id from strandline.ing_task_dependency where requires_task_id = any($1::bigint[]) and kind_code = 'ALL_SUCCEEDED' and not satisfied
  union select n.task_id from w cross join lateral (select e.task_id from strandline.ing_task_dependency e where e.requires_task_id = w.id and e.kind_code = 'ALL_SUCCEEDED' and not e.satisfied offset 0) n)
select t.id from strandline.ing_task t where t.id = any(array(select id from w)) and t.status_code = 'QUEUED' order by t.id;

-- name: task.error
-- Keeps the last error $2 of task $1, for people.
update strandline.ing_task set last_error = $2::jsonb where id = $1;

-- name: task.hand_on
-- Takes up to $1 tasks out of their mutexes that nobody has claimed for $2 microseconds while others wait for them: no worker may serve their pool. They rest as long, so that the others pass.
with v as materialized (select t.id, t.mutex_key from strandline.ing_task t where t.mutex_key is not null and not t.mutex_waiting and t.status_code = 'QUEUED' and t.unmet = 0 and not t.held
   and t.scheduled_at < clock_timestamp() - $2::bigint * interval '1 microsecond' and exists (select from strandline.ing_task w where w.mutex_key = t.mutex_key and w.mutex_waiting
     and w.status_code = 'QUEUED' and w.unmet = 0 and not w.held and w.scheduled_at <= clock_timestamp()) order by t.id limit $1 for no key update of t skip locked),
 t as (update strandline.ing_task t set mutex_waiting = true, scheduled_at = clock_timestamp() + $2::bigint * interval '1 microsecond', reason_code = 'MUTEX' from v where t.id = v.id),
 m as materialized (select g.key, x.n from (select mutex_key, count(*)::int as n from v group by 1) x join strandline.ing_mutex g on g.key = x.mutex_key order by g.key for no key update of g),
 g as (update strandline.ing_mutex g set admitted = g.admitted - m.n from m where g.key = m.key)
select v.id, array(select key from m) as admit from v order by v.id;

-- name: task.leave
-- The one exit of tasks $1, locked: $2 the state wanted, $3 reason, $4 pause in microseconds, $5 failures and $6 losses to add. Also satisfies dependents,
-- gives back mutex and slot, and turns QUEUED into CANCELLED where that was asked for. Nobody else writes these columns.
with v as materialized (select t.id, t.plan_id, t.attempt_no, t.mutex_key, t.mutex_waiting, case when $2::text = 'QUEUED' and t.cancel_requested_at is not null then 'CANCELLED' else $2::text end as want,
   coalesce((select r.batch_no from strandline.ing_task_run r where r.task_id = t.id and r.attempt_no = t.attempt_no), t.batch_no) as batch_no
   from strandline.ing_task t where t.id = any($1::bigint[]) and t.status_code in ('QUEUED', 'RUNNING')),
 t as (update strandline.ing_task t set status_code = v.want, reason_code = case when v.want <> $2::text then 'CANCELLED' when v.want = 'QUEUED' and t.held then 'PAUSED' else $3::text end, batch_no = v.batch_no,
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
select v.id, v.plan_id, v.want, array(select mutex_key from v where mutex_key is not null union select mutex_key from k where mutex_key is not null) as admit from v;

-- name: task.lock
-- Takes tasks $1 and the children that their success will touch, in order of id. It does not see who has come to wait for them while it waited: task.leave does.
select t.id, t.cancel_requested_at is not null as cancel from strandline.ing_task t where t.id = any(array(select unnest($1::bigint[]) union
 select task_id from strandline.ing_task_dependency where requires_task_id = any($1::bigint[]) and not satisfied)) order by t.id for no key update;

-- name: task.lock_below
-- Takes tasks $1 and all that wait for them, also behind others, in order of id: what their fall may touch.
with recursive w(id) as (select unnest($1::bigint[])
  union select n.task_id from w cross join lateral (select e.task_id from strandline.ing_task_dependency e where e.requires_task_id = w.id and not e.satisfied offset 0) n)
select t.id, t.status_code, t.batch_no, t.failures, t.max_attempts from strandline.ing_task t where t.id = any(array(select id from w)) order by t.id for no key update;

-- name: task.look
-- Task $1 as it stands.
select t.id, t.plan_id, t.cursor_id, t.status_code, t.last_error from strandline.ing_task t where t.id = $1 and t.kind_code <> 'GATE';

-- name: task.mutex
-- Makes the mutex $1 if it is new; it lets $2 through at once, null for as many as it does already (one, when new).
insert into strandline.ing_mutex as m (key, slots) values ($1, coalesce($2::int, 1))
on conflict (key) do update set slots = $2::int where $2::int is not null and m.slots <> $2::int;

-- name: task.mutex_idle
-- Mutexes that are free while a due task waits for them.
select m.key from strandline.ing_mutex m where m.admitted < m.slots and exists (select from generate_series(1, 9) p(priority), lateral (select from strandline.ing_task t
  where t.mutex_key = m.key and t.priority = p.priority and t.mutex_waiting and t.status_code = 'QUEUED' and t.unmet = 0 and not t.held and t.scheduled_at <= statement_timestamp() limit 1) x);

-- name: task.of_cursor
-- Live or closed tasks of cursor $1 in states $2, without its gates.
select id from strandline.ing_task where cursor_id = $1 and generation > 0 and status_code <> 'SUCCEEDED' and status_code = any($2::text[]) order by id;

-- name: task.of_plan
-- Tasks of plan $1 in states $2.
select id from strandline.ing_task where plan_id = $1 and status_code = any($2::text[]) order by id;

-- name: task.orphans
-- Up to $1 queued tasks of local providers whose process has not been seen for $2 microseconds, and whether others wait for them.
select x.id, x.tied from strandline.ing_worker w join strandline.ing_plan p on p.pool = 'local:' || w.worker and p.status_code = 'ACTIVE' cross join lateral (select t.id,
  (select count(*) from strandline.ing_task_dependency d where d.requires_task_id = t.id and not d.satisfied) > 0 as tied from strandline.ing_task t
  where t.plan_id = p.id and t.status_code = 'QUEUED' limit $1 for no key update of t skip locked) x
where w.status_code = 'STOPPED' or w.heartbeat_at < clock_timestamp() - $2::bigint * interval '1 microsecond' limit $1;

-- name: task.pause
-- Holds tasks $1, locked, until somebody resumes them. A task that was through its mutex gives it back.
with v as materialized (select id, mutex_key, status_code, status_code = 'QUEUED' and mutex_key is not null and not mutex_waiting as had from strandline.ing_task
   where id = any($1::bigint[]) and status_code in ('QUEUED', 'RUNNING') and not held),
 t as (update strandline.ing_task t set held = true, mutex_waiting = t.mutex_waiting or v.had, reason_code = case when v.status_code = 'QUEUED' then 'PAUSED' else t.reason_code end from v where t.id = v.id),
 m as materialized (select g.key, x.n from (select mutex_key, count(*)::int as n from v where had group by 1) x join strandline.ing_mutex g on g.key = x.mutex_key order by g.key for no key update of g),
 g as (update strandline.ing_mutex g set admitted = g.admitted - m.n from m where g.key = m.key)
select v.id, v.status_code, array(select key from m) as admit from v order by v.id;

-- name: task.priority
-- Gives tasks $1, locked, the priority $2. One that can be claimed begins its wait anew, where every low-water mark finds it.
update strandline.ing_task set priority = $2::smallint, scheduled_at = case when status_code = 'QUEUED' then greatest(scheduled_at, clock_timestamp()) else scheduled_at end
where id = any($1::bigint[]) and status_code in ('QUEUED', 'RUNNING') and priority <> $2::smallint returning id, status_code;

-- name: task.resume
-- Lets tasks $1, locked, go on.
with t as (update strandline.ing_task set held = false, scheduled_at = greatest(scheduled_at, clock_timestamp()), reason_code = case when status_code = 'QUEUED' then 'DUE' else reason_code end
  where id = any($1::bigint[]) and held and status_code in ('QUEUED', 'RUNNING') returning id, status_code, mutex_key)
select t.id, t.status_code, array(select distinct mutex_key from t where mutex_key is not null) as admit from t order by t.id;

-- name: task.retry
-- Queues the closed task $1 again; a deadline that has passed no longer holds. No row: a parent stays fallen, or the task is not closed.
update strandline.ing_task t set status_code = 'QUEUED', attempt_no = t.attempt_no + 1, reason_code = 'RETRIED', failures = 0, losses = 0, cancel_requested_at = null,
 held = coalesce((select c.held from strandline.ing_cursor c where c.id = t.cursor_id), t.held), finished_at = null,
 deadline_at = case when t.deadline_at > clock_timestamp() then t.deadline_at end, scheduled_at = clock_timestamp(), mutex_waiting = t.mutex_key is not null,
 unmet = (select count(*) from strandline.ing_task_dependency e where e.task_id = t.id and not e.satisfied)
where t.id = $1 and t.status_code in ('FAILED', 'CANCELLED') and not exists (select 1 from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id
  where e.task_id = t.id and e.kind_code = 'ALL_SUCCEEDED' and not e.satisfied and p.status_code in ('FAILED', 'CANCELLED')) returning t.id, t.attempt_no, t.mutex_key, t.unmet;

-- name: task.retry_find
-- Closed tasks $1, the descendants that fell with them and the gates between them (their plan in gate_plan), with what a retry has to check first.
with recursive w(id) as (select unnest($1::bigint[]) union select n.id from w join strandline.ing_task t on t.id = w.id cross join lateral (
   select c.id from strandline.ing_task_dependency e join strandline.ing_task c on c.id = e.task_id where e.requires_task_id = t.id and c.status_code = 'FAILED' and c.reason_code = 'UPSTREAM_FAILED'
   union all select g.id from strandline.ing_task g where t.plan_id <> 0 and g.kind_code = 'GATE' and g.idempotent_key = strandline.gate_key('plan:' || t.plan_id) and g.status_code in ('FAILED', 'CANCELLED')) n)
select t.id, t.plan_id, t.cursor_id, t.generation, t.lo, t.hi, t.status_code, coalesce(s.superseded, false) as superseded, case when t.kind_code = 'GATE' then (t.params ->> 'plan')::bigint end as gate_plan,
  (select count(*) from strandline.ing_task_dependency e where e.task_id = t.id and not e.satisfied) > 0 as waits
from w join strandline.ing_task t on t.id = w.id left join strandline.ing_plan_slice s on s.id = t.slice_id order by t.id;

-- name: task.retry_plans
-- Opens plans $1 again, in order. Those that are still open are locked too: a close that waits for this must see the queued tasks,
-- and a close that this waits for must be undone.
update strandline.ing_plan p set status_code = 'ACTIVE', finished_at = null where p.id = any(array(select id from strandline.ing_plan
  where id = any($1::bigint[]) order by id for no key update)) returning p.id;

-- name: task.take
-- Lets worker $2 take the queued task $1, locked, for $3 microseconds, whatever it waits for: an operator's own run.
with u as (update strandline.ing_task t set status_code = 'RUNNING', started_at = coalesce(t.started_at, clock_timestamp()) where t.id = $1 and t.status_code = 'QUEUED'
  returning t.id, t.attempt_no, t.walk_no, t.batch_no, t.plan_id, t.slice_id, t.cursor_id, t.generation, t.kind_code, t.lo, t.hi, t.params, t.failures, t.losses, t.idempotent_key, t.deadline_at),
 r as (insert into strandline.ing_task_run (task_id, attempt_no, worker, status_code, leased_until, walk_no, batch_no, checkpoint, reached, window_from, window_to)
  select u.id, u.attempt_no, $2, 'PLANNED', clock_timestamp() + $3::bigint * interval '1 microsecond', u.walk_no, u.batch_no, q.checkpoint, q.reached, u.lo, u.hi
  from u left join lateral (select o.walk_no, o.checkpoint, o.reached from strandline.ing_task_run o where o.task_id = u.id order by o.attempt_no desc limit 1) q on q.walk_no = u.walk_no
  returning id, task_id, attempt_no, walk_no, batch_no, checkpoint, reached)
select r.id as run_id, r.task_id, r.attempt_no, r.walk_no, r.batch_no, r.checkpoint, r.reached, u.plan_id, u.slice_id, u.cursor_id, u.generation, u.kind_code, u.lo, u.hi, u.params,
  u.idempotent_key, u.failures, u.losses, (extract(epoch from u.deadline_at) * 1000000)::bigint as deadline, s.slice_spec, s.expr_snapshot
from r join u on u.id = r.task_id join strandline.ing_plan_slice s on s.id = u.slice_id;

-- name: task.trigger
-- Makes tasks $1, locked, due now: ends a delay, a rest or a backoff.
with t as (update strandline.ing_task set scheduled_at = clock_timestamp(), reason_code = 'DUE'
  where id = any($1::bigint[]) and status_code = 'QUEUED' and scheduled_at > clock_timestamp() returning id, status_code, mutex_key)
select t.id, t.status_code, array(select distinct mutex_key from t where mutex_key is not null) as admit from t order by t.id;

-- name: task.walk_next
-- The next pass over the pages of task $1, locked.
update strandline.ing_task set walk_no = walk_no + 1 where id = $1 returning walk_no;

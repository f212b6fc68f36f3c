-- What `strandline verify` checks. Every verify.check_* returns (subject, message) rows, none where all is well; $1 is a cursor, or
-- null for everything. They run in one snapshot, so that a live system raises no false alarm.

-- name: verify.anchors
-- Whether an event of cursor $1 (null: of any) has the hash $2.
select exists (select from strandline.ing_cursor_event where ($1::bigint is null or cursor_id = $1) and event_hash = $2) as known;

-- name: verify.check_admitted
-- A mutex counts the tasks that are past it ($1).
select 'mutex:' || m.key as subject, format('%s admitted, and %s of its tasks are past the gate', m.admitted, coalesce(c.n, 0)) as message
from strandline.ing_mutex m left join (select mutex_key, count(*) as n from strandline.ing_task where mutex_key is not null and status_code in ('QUEUED', 'RUNNING') and not mutex_waiting group by 1) c
  on c.mutex_key = m.key where $1::bigint is null and m.admitted <> coalesce(c.n, 0);

-- name: verify.check_batch_gaps
-- Batch numbers of a task ($1 its cursor) have no gap up to what the task says.
select 'task:' || t.id as subject, format('%s batches are kept, numbered %s to %s', b.n, b.first, b.last) as message
from strandline.ing_task t join (select task_id, count(*) as n, min(batch_no) as first, max(batch_no) as last from strandline.ing_task_run_batch group by 1) b on b.task_id = t.id
where ($1::bigint is null or t.cursor_id = $1) and b.n <> b.last - b.first + 1;

-- name: verify.check_batch_last
-- The last batch of a task ($1 its cursor) is the one that its newest run says.
select 'task:' || t.id as subject, format('the last batch is %s, and run %s says %s', coalesce(b.last, 0), r.attempt_no, r.batch_no) as message
from strandline.ing_task t join lateral (select attempt_no, batch_no from strandline.ing_task_run r where r.task_id = t.id order by attempt_no desc limit 1) r on true
left join (select task_id, max(batch_no) as last from strandline.ing_task_run_batch group by 1) b on b.task_id = t.id
where ($1::bigint is null or t.cursor_id = $1) and r.batch_no <> coalesce(b.last, 0);

-- name: verify.check_batch_runs
-- Every batch ($1 the cursor of its task) belongs to a run that is there, and was not lost before it.
select 'task:' || b.task_id as subject, case when r.id is null then format('batch %s names run %s, which is not there', b.batch_no, b.run_id)
  else format('batch %s was committed by attempt %s after it was lost', b.batch_no, r.attempt_no) end as message
from strandline.ing_task_run_batch b join strandline.ing_task t on t.id = b.task_id left join strandline.ing_task_run r on r.task_id = b.task_id and r.id = b.run_id
where ($1::bigint is null or t.cursor_id = $1) and (r.id is null or (r.status_code = 'LOST' and b.finished_at > r.finished_at));

-- name: verify.check_chain
-- Events of cursor $1 follow each other: numbers without gaps, each with the hash and the mark of the one before.
select 'cursor:' || e.cursor_id as subject, format('event %s does not follow event %s', e.sequence_no, e.s) as message
from (select cursor_id, sequence_no, prev_hash, prev_value, lag(sequence_no) over w as s, lag(event_hash) over w as h, lag(new_value) over w as v
  from strandline.ing_cursor_event where ($1::bigint is null or cursor_id = $1) window w as (partition by cursor_id order by sequence_no)) e
where (e.s is null and e.sequence_no <> 1) or (e.s is not null and (e.sequence_no <> e.s + 1 or e.prev_hash is distinct from e.h or e.prev_value is distinct from e.v));

-- name: verify.check_closed_plans
-- A closed plan ($1 its cursor) has no live task, and the status that its tasks give while it still holds them all. One that has succeeded may hold cuts that were superseded: others have loaded them.
select 'plan:' || p.id as subject, case when c.live > 0 then format('it is %s and %s of its tasks are not over', p.status_code, c.live)
  else format('it is %s, and its tasks add up to %s', p.status_code, c.adds_up) end as message
from strandline.ing_plan p join (select plan_id, count(*) as n, count(*) filter (where status_code in ('QUEUED', 'RUNNING')) as live,
    case when count(*) filter (where status_code = 'SUCCEEDED') = count(*) then 'SUCCEEDED' when count(*) filter (where status_code = 'SUCCEEDED') > 0 then 'PARTIAL'
      when count(*) filter (where status_code = 'FAILED') > 0 then 'FAILED' else 'CANCELLED' end as adds_up,
    count(*) filter (where status_code in ('FAILED', 'CANCELLED') and not (select s.superseded from strandline.ing_plan_slice s where s.id = t.slice_id)) as missed
  from strandline.ing_task t where reason_code is distinct from 'SPLIT' group by 1) c on c.plan_id = p.id
where ($1::bigint is null or p.cursor_id = $1) and p.status_code <> 'ACTIVE' and (c.live > 0 or (c.n = p.total_slices and c.adds_up <> p.status_code and (p.status_code <> 'SUCCEEDED' or c.missed > 0)));

-- name: verify.check_coverage_overlap
-- Finished parts of one generation of cursor $1 do not overlap.
select 'cursor:' || c.cursor_id as subject, format('generation %s: the part [%s, %s) of task %s overlaps the one before it', c.generation, c.lo, c.hi, c.task_id) as message
from (select cursor_id, generation, lo, hi, task_id, max(hi) over (partition by cursor_id, generation order by lo, hi rows between unbounded preceding and 1 preceding) as before
  from strandline.ing_coverage where ($1::bigint is null or cursor_id = $1)) c where c.lo < c.before;

-- name: verify.check_dependencies
-- unmet equals the unsatisfied edges; no edge to a success is open; what needed a fallen task has fallen ($1 the cursor).
select 'task:' || t.id as subject, format('unmet is %s, and %s of its dependencies are not satisfied', t.unmet, coalesce(e.n, 0)) as message
from strandline.ing_task t left join (select task_id, count(*) as n from strandline.ing_task_dependency where not satisfied group by 1) e on e.task_id = t.id
where ($1::bigint is null or t.cursor_id = $1) and t.status_code in ('QUEUED', 'RUNNING') and t.unmet <> coalesce(e.n, 0)
union all
select 'task:' || e.task_id, format('it waits for task %s, which succeeded', e.requires_task_id) from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id
join strandline.ing_task t on t.id = e.task_id where ($1::bigint is null or t.cursor_id = $1) and p.status_code = 'SUCCEEDED' and not e.satisfied
union all
select 'task:' || e.task_id, format('it is %s, and task %s, which it needs, is %s', t.status_code, p.id, p.status_code) from strandline.ing_task_dependency e
join strandline.ing_task p on p.id = e.requires_task_id join strandline.ing_task t on t.id = e.task_id
where ($1::bigint is null or t.cursor_id = $1) and e.kind_code = 'ALL_SUCCEEDED' and not e.satisfied and p.status_code in ('FAILED', 'CANCELLED') and t.status_code not in ('FAILED', 'CANCELLED');

-- name: verify.check_due_waiters
-- No due task waits before a free mutex for longer than a minute ($1).
select 'mutex:' || m.key as subject, format('%s due tasks wait while %s of %s places are taken', count(*), m.admitted, m.slots) as message
from strandline.ing_mutex m join strandline.ing_task t on t.mutex_key = m.key and t.mutex_waiting and t.status_code = 'QUEUED' and t.unmet = 0 and not t.held
where $1::bigint is null and m.admitted < m.slots and t.scheduled_at < clock_timestamp() - interval '1 minute' group by m.key, m.admitted, m.slots;

-- name: verify.check_head
-- The head of cursor $1 is its last event.
select 'cursor:' || c.id as subject, format('its head says event %s at %s, and its last event is %s at %s', c.head_sequence_no, c.value_norm, coalesce(e.sequence_no, 0), e.new_value) as message
from strandline.ing_cursor c left join lateral (select sequence_no, event_hash, new_value from strandline.ing_cursor_event e where e.cursor_id = c.id order by sequence_no desc limit 1) e on true
where ($1::bigint is null or c.id = $1) and (coalesce(e.sequence_no, 0) <> c.head_sequence_no or e.event_hash is distinct from c.head_hash or coalesce(e.new_value, c.origin) <> c.value_norm);

-- name: verify.check_intervals
-- Merged coverage of cursor $1 neither overlaps nor touches.
select 'cursor:' || i.cursor_id as subject, format('generation %s: the interval [%s, %s) meets the one before it', i.generation, i.lo, i.hi) as message
from (select cursor_id, generation, lo, hi, lag(hi) over (partition by cursor_id, generation order by lo) as before from strandline.ing_interval where ($1::bigint is null or cursor_id = $1)) i
where i.lo <= i.before;

-- name: verify.check_late_runs
-- No live run ($1 the cursor of its task) is more than three leases, as long as its last one, behind.
select 'task:' || r.task_id as subject, format('attempt %s by %s has been without a sign of life since %s', r.attempt_no, r.worker, r.leased_until) as message
from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id where r.status_code in ('PLANNED', 'RUNNING') and ($1::bigint is null or t.cursor_id = $1)
  and r.leased_until + 3 * greatest(r.leased_until - coalesce(r.heartbeat_at, r.created_at), interval '20 seconds') < clock_timestamp();

-- name: verify.check_mark
-- The watermark of cursor $1 is the end of its covered prefix.
select 'cursor:' || c.id as subject, format('the watermark is %s, and the covered prefix ends at %s', c.value_norm, m.mark) as message
from strandline.ing_cursor c cross join lateral (select greatest(c.origin, (select i.hi from strandline.ing_interval i where i.cursor_id = c.id and i.generation = c.minimum_generation and i.lo <= c.origin
  order by i.lo desc limit 1)) as mark) m where ($1::bigint is null or c.id = $1) and c.value_norm <> m.mark;

-- name: verify.check_references
-- What has no foreign key is there all the same ($1 the cursor).
select 'task:' || t.id as subject, format('it names %s', concat_ws(' and ', case when p.id is null then 'plan ' || t.plan_id end, case when s.id is null then 'slice ' || t.slice_id end,
  case when t.cursor_id is not null and c.id is null then 'cursor ' || t.cursor_id end)) || ', which is not there' as message
from strandline.ing_task t left join strandline.ing_plan p on p.id = t.plan_id left join strandline.ing_plan_slice s on s.id = t.slice_id left join strandline.ing_cursor c on c.id = t.cursor_id
where t.kind_code <> 'GATE' and ($1::bigint is null or t.cursor_id = $1) and (p.id is null or s.id is null or (t.cursor_id is not null and c.id is null))
union all
select 'task:' || t.id, format('its key is not the one that its slice %s names', s.id) from strandline.ing_task t join strandline.ing_plan_slice s on s.id = t.slice_id
where t.kind_code <> 'GATE' and ($1::bigint is null or t.cursor_id = $1) and s.task_key <> t.idempotent_key
union all
select 'task:' || v.task_id, format('its coverage [%s, %s) names batch %s, which is not there', v.lo, v.hi, v.batch_no) from strandline.ing_coverage v
left join strandline.ing_task_run_batch b on b.task_id = v.task_id and b.batch_no = v.batch_no where ($1::bigint is null or v.cursor_id = $1) and b.id is null;

-- name: verify.check_refold
-- Coverage folded anew gives the intervals of cursor $1. A reread counts in the generation that carries the mark too.
select 'cursor:' || coalesce(a.cursor_id, b.cursor_id) as subject, format('generation %s: the coverage adds up to %s and the intervals say %s', coalesce(a.generation, b.generation),
  coalesce(left(a.r::text, 200), '{}'), coalesce(left(b.r::text, 200), '{}')) as message
from (select x.cursor_id, x.generation, range_agg(int8range(x.lo, x.hi)) as r from (
    select cursor_id, generation, unnest(intervals) as part from strandline.ing_cursor_event where direction_code in ('FORWARD', 'BACKFILL')
    union all select e.cursor_id, c.minimum_generation, unnest(e.intervals) from strandline.ing_cursor_event e join strandline.ing_cursor c on c.id = e.cursor_id
      where e.direction_code in ('FORWARD', 'BACKFILL') and e.generation > c.minimum_generation) y cross join lateral (select y.cursor_id, y.generation, lower(y.part) as lo, upper(y.part) as hi) x
  where ($1::bigint is null or x.cursor_id = $1) group by 1, 2) a
full join (select cursor_id, generation, range_agg(int8range(lo, hi)) as r from strandline.ing_interval where ($1::bigint is null or cursor_id = $1) group by 1, 2) b
  on a.cursor_id = b.cursor_id and a.generation = b.generation where a.r is distinct from b.r;

-- name: verify.check_running
-- A running task ($1 its cursor) has exactly one live run, of its attempt; a live run has a running task.
select 'task:' || t.id as subject, format('it is RUNNING, and its live runs are %s', coalesce(r.attempts, 'none')) as message
from strandline.ing_task t left join (select task_id, count(*) as n, min(attempt_no) as attempt_no, string_agg(attempt_no::text, ', ') as attempts from strandline.ing_task_run
  where status_code in ('PLANNED', 'RUNNING') group by 1) r on r.task_id = t.id
where ($1::bigint is null or t.cursor_id = $1) and t.status_code = 'RUNNING' and (r.n is distinct from 1 or r.attempt_no <> t.attempt_no)
union all
select 'task:' || t.id, format('attempt %s is live, and the task is %s', r.attempt_no, t.status_code) from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id
where r.status_code in ('PLANNED', 'RUNNING') and ($1::bigint is null or t.cursor_id = $1) and t.status_code <> 'RUNNING';

-- name: verify.check_slots
-- Every taken place of a pool names a live run, and no pool runs more tasks than it has places ($1).
select 'pool:' || o.pool as subject, format('place %s is held by attempt %s of task %s, which does not run', o.slot_no, o.attempt_no, o.task_id) as message
from strandline.ing_pool_slot o left join strandline.ing_task t on t.id = o.task_id and t.status_code = 'RUNNING' and t.attempt_no = o.attempt_no
where $1::bigint is null and o.task_id is not null and t.id is null
union all
select 'pool:' || p.pool, format('%s of its tasks run, and it has %s places', c.n, p.slots) from strandline.ing_pool p
join (select pool, count(*) as n from strandline.ing_task where status_code = 'RUNNING' group by 1) c on c.pool = p.pool where $1::bigint is null and p.slots is not null and c.n > greatest(p.slots, (select count(*) from strandline.ing_pool_slot o where o.pool = p.pool and o.task_id is not null));

-- name: verify.check_stamped
-- Every event of cursor $1 stamped as many finished parts as it says.
select 'cursor:' || e.cursor_id as subject, format('event %s says that it folded %s parts, and %s carry its number', e.sequence_no, e.coverage_count, coalesce(c.n, 0)) as message
from strandline.ing_cursor_event e left join (select cursor_id, event_sequence_no, count(*) as n from strandline.ing_coverage where event_sequence_no is not null group by 1, 2) c
  on c.cursor_id = e.cursor_id and c.event_sequence_no = e.sequence_no
where ($1::bigint is null or e.cursor_id = $1) and e.coverage_count <> coalesce(c.n, 0);

-- name: verify.check_succeeded
-- A task that succeeded ($1 its cursor) is covered; its records are those of its batches.
select 'task:' || t.id as subject, 'it SUCCEEDED, and nothing says that its window is covered' as message
from strandline.ing_task t where t.status_code = 'SUCCEEDED' and t.kind_code <> 'GATE' and t.cursor_id is not null and ($1::bigint is null or t.cursor_id = $1)
  and not exists (select from strandline.ing_coverage v where v.task_id = t.id and v.lo = t.lo and (v.hi = t.hi or t.hi = 9223372036854775807))
union all
select 'task:' || t.id, format('it is %s, and its window [%s, %s) counts as covered', t.status_code, v.lo, v.hi) from strandline.ing_task t join strandline.ing_coverage v on v.task_id = t.id
join strandline.ing_plan_slice s on s.id = t.slice_id where ($1::bigint is null or t.cursor_id = $1) and t.status_code <> 'SUCCEEDED' and not s.superseded
union all
select 'task:' || v.task_id, format('its coverage says %s records, and the batches of its last walk %s', v.record_count, b.n) from strandline.ing_coverage v
join (select b.task_id, sum(b.record_count) as n from strandline.ing_task_run_batch b join strandline.ing_task t on t.id = b.task_id and t.walk_no = b.walk_no group by 1) b on b.task_id = v.task_id
where ($1::bigint is null or v.cursor_id = $1) and v.record_count <> b.n;

-- name: verify.check_superseded
-- A superseded slice has no live task ($1 its cursor).
select 'task:' || t.id as subject, format('it is %s, and its slice was cut anew', t.status_code) as message
from strandline.ing_plan_slice s join strandline.ing_task t on t.slice_id = s.id
where s.superseded and t.status_code in ('QUEUED', 'RUNNING') and ($1::bigint is null or t.cursor_id = $1);

-- name: verify.check_triggers
-- Every trigger has its plan ($1).
select 'trigger:' || i.id as subject, format('(%s, %s, %s) has no plan', i.scheduler_code, i.scheduler_job_id, i.scheduler_log_id) as message
from strandline.ing_schedule_instance i left join strandline.ing_plan p on p.schedule_instance_id = i.id where $1::bigint is null and p.id is null;

-- name: verify.check_unfolded
-- No finished part of cursor $1 has waited for its fold for more than a minute.
select 'cursor:' || cursor_id as subject, format('%s finished parts have waited for their fold since %s; any worker folds them', count(*), min(created_at)) as message
from strandline.ing_coverage where event_sequence_no is null and created_at < clock_timestamp() - interval '1 minute' and ($1::bigint is null or cursor_id = $1) group by cursor_id;

-- name: verify.coverage
-- The parts that event $2 of cursor $1 stamped, in key order.
select task_id, batch_no, generation, lo, hi, record_count from strandline.ing_coverage where cursor_id = $1 and event_sequence_no = $2 order by task_id, batch_no;

-- name: verify.events
-- Up to 1,000 events of cursor $1 (null: of all) behind ($2 cursor, $3 sequence_no), with what their hashes cover.
select e.cursor_id, e.sequence_no, e.generation, e.direction_code, e.prev_value, e.new_value, e.coverage_count, e.coverage_digest, e.actor, e.reason, e.prev_hash, e.event_hash,
  array(select lower(r) from unnest(e.intervals) r) as los, array(select upper(r) from unnest(e.intervals) r) as his,
  c.provenance_code, c.operation_code, c.cursor_key, c.namespace_scope_code, c.namespace_key
from strandline.ing_cursor_event e join strandline.ing_cursor c on c.id = e.cursor_id
where ($1::bigint is null or e.cursor_id = $1) and (e.cursor_id, e.sequence_no) > ($2::bigint, $3::bigint) order by e.cursor_id, e.sequence_no limit 1000;

-- name: verify.target_rows
-- Rows of {target} whose lineage does not hold, per batch: no such batch, or another number of rows than it put there ($1: the mode is merge, where rows move on to later batches).
select 'batch:' || x.batch as subject, case when b.id is null then format('%s rows of %s name a batch that is not there', x.n, {name})
  when x.n > b.inserted_count + b.updated_count then format('it put %s rows into %s, and %s are there', b.inserted_count + b.updated_count, {name}, x.n)
  else format('it put %s rows into %s, and only %s are there', b.inserted_count, {name}, x.n) end as message
from (select "_sl_batch" as batch, count(*) as n from {target} where "_sl_batch" is not null group by 1) x
left join strandline.ing_task_run_batch b on b.id = x.batch
where b.id is null or x.n > b.inserted_count + b.updated_count or (not $1::boolean and x.n < b.inserted_count)
union all
select 'batch:' || b.id, format('it put %s rows into %s, and none is there', b.inserted_count, {name})
from strandline.ing_task_run_batch b join strandline.ing_task t on t.id = b.task_id and t.walk_no = b.walk_no join strandline.ing_plan p on p.id = b.plan_id
join strandline.ing_stream s on s.id = p.stream_id and s.target_schema = {schema} and s.target_table = {table}
left join (select distinct "_sl_batch" as batch from {target}) r on r.batch = b.id
where not $1::boolean and b.inserted_count > 0 and r.batch is null;

-- name: verify.targets
-- The tables that streams load into ($1 a cursor, or null), and whether any of them merges, has merged or has removed rows: then rows move.
select s.target_schema, s.target_table, bool_or(s.write_mode = 'merge' or exists (select from strandline.ing_task_run_batch b join strandline.ing_plan p on p.id = b.plan_id
    where p.stream_id = s.id and (b.deleted_count > 0 or b.updated_count > 0))) as moves
from strandline.ing_stream s where $1::bigint is null or exists (select from strandline.ing_plan p where p.stream_id = s.id and p.cursor_id = $1) group by 1, 2 order by 1, 2;

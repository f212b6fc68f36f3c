-- Runs: the lease, and the fence of every write.

-- name: run.batch_ids
-- $1 fresh ids of batches.
select array(select nextval('strandline.ing_task_run_batch_id_seq') from generate_series(1, $1::int)) as ids;

-- name: run.batches
-- Writes the batch rows of one group: $1 task, $2 batch_no before it, $3 run, $4 walk, $5 ids, $6 tokens before, $7 after, $8 records, $9 inserted, $10 updated,
-- $11 unchanged, $12 deleted, $13 bytes, $14 digests, $15 keys, $16 page sizes, $17 page number before it, $18 start times in microseconds.
insert into strandline.ing_task_run_batch (id, task_id, batch_no, run_id, slice_id, plan_id, walk_no, page_no, page_size, before_token, after_token, idempotent_key, record_count,
  inserted_count, updated_count, unchanged_count, deleted_count, byte_count, content_digest, status_code, started_at)
select x.i, $1, $2::int + x.n, $3, t.slice_id, t.plan_id, $4, $17::int + x.n, x.z, x.b::json, x.a::json, x.k, x.c, x.ci, x.cu, x.cn, x.cd, x.y, x.g, 'SUCCEEDED', to_timestamp(x.s / 1000000.0)
from unnest($5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bytea[], $15::bytea[], $16::bigint[], $18::bigint[])
  with ordinality x(i, b, a, c, ci, cu, cn, cd, y, g, k, z, s, n) join strandline.ing_task t on t.id = $1;

-- name: run.cancel_copy
-- Copies the wish to end to the runs of tasks $1. A run that is busy in its commit is skipped: its next look or renewal reads the task.
with r as materialized (select r.task_id, r.attempt_no from strandline.ing_task_run r where r.task_id = any($1::bigint[]) and r.status_code in ('PLANNED', 'RUNNING') and r.finished_at is null order by 1 for no key update skip locked)
update strandline.ing_task_run u set cancel_requested_at = clock_timestamp() from r where u.task_id = r.task_id and u.attempt_no = r.attempt_no;

-- name: run.coverage
-- Records that task $1 is done up to its batch $2 by run $3: [$4, $5) and $6 records. One row a task and batch, for ever.
insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
select t.id, $2, t.cursor_id, t.generation, $4, $5, t.slice_id, $3, $6 from strandline.ing_task t where t.id = $1 and t.cursor_id is not null;

-- name: run.doubt_lock
-- Waits until whatever transaction held run ($1 task, $2 attempt) is over, and takes it.
select id, status_code, batch_no from strandline.ing_task_run where task_id = $1 and attempt_no = $2 for no key update;

-- name: run.doubt_look
-- Whether the page ($1 task, $2 batch_no) is committed, and by whom. After run.doubt_lock.
select run_id, content_digest from strandline.ing_task_run_batch where task_id = $1 and batch_no = $2;

-- name: run.end
-- Ends the live run ($1 task, $2 attempt) as $3 for reason $4, by $5, with causes $6; null says what the dictionary does. No row: the lease is lost.
update strandline.ing_task_run set status_code = $3, end_reason_code = $4, ended_by = $5, finished_at = clock_timestamp(),
  errors = coalesce($6::jsonb, jsonb_build_array(jsonb_build_object('origin', 'engine', 'kind', lower($4::text), 'message', (select i.description from strandline.ing_dict_item i
    where i.type_code = 'reason' and i.item_code = $4::text), 'where', worker)))
where task_id = $1 and attempt_no = $2 and status_code in ('PLANNED', 'RUNNING') returning id, batch_no, reached, walk_no;

-- name: run.fence
-- Compares and sets: run ($1 task, $2 attempt) had $3 batches and gets $4 more, a lease of $5 microseconds, checkpoint $6, $7 records; $8 whether it is done; $9 the bound below which all is in, null for unknown. No row: look before giving up.
update strandline.ing_task_run set status_code = case when $8 then 'SUCCEEDED' else 'RUNNING' end, batch_no = batch_no + $4::int, checkpoint = $6::json, record_count = record_count + $7::bigint, reached = $9::bigint,
  leased_until = clock_timestamp() + $5::bigint * interval '1 microsecond', heartbeat_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()),
  finished_at = case when $8 then clock_timestamp() end, end_reason_code = case when $8 then 'DONE' end, ended_by = case when $8 then worker end
where task_id = $1 and attempt_no = $2 and status_code in ('PLANNED', 'RUNNING') and batch_no = $3 returning id, cancel_requested_at is not null as cancel;

-- name: run.finish
-- Ends many runs at once, each with its only page: $1 tasks, locked, $2 attempts, $3 runs, $4 walks, $5 batch ids, $6 tokens before, $7 after, $8 records, $9 inserted, $10 updated, $11 unchanged, $12 deleted,
-- $13 bytes, $14 digests, $15 keys, $16 page sizes, $17 start times in microseconds, $18 lower and $19 upper bounds, $20 slices; all of plan $21, cursor $22 and generation $23. Those to which nothing
-- is tied leave too; the others are returned, for task.leave. Who waits for them is read here and not by task.lock, which does not see what it waited for. Fewer fenced than sent, or a wish to end: the caller rolls back.
with x as materialized (select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
   $13::bigint[], $14::bytea[], $15::bytea[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[]) x(task_id, attempt_no, run_id, walk_no, id,
   before_token, after_token, records, inserted, updated, unchanged, deleted, bytes, digest, key, size, started, lo, hi, slice_id)),
 k as materialized (select x.task_id, x.after_token, x.records, l.place from x cross join lateral (select r.ctid as place from strandline.ing_task_run r where r.task_id = x.task_id and r.attempt_no = x.attempt_no offset 0) l),
 f as (update strandline.ing_task_run r set status_code = 'SUCCEEDED', batch_no = 1, checkpoint = k.after_token::json, record_count = k.records, heartbeat_at = clock_timestamp(),
   started_at = coalesce(r.started_at, clock_timestamp()), finished_at = clock_timestamp(), end_reason_code = 'DONE', ended_by = r.worker
   from k where r.ctid = k.place and r.task_id = k.task_id and r.status_code in ('PLANNED', 'RUNNING') and r.batch_no = 0 returning r.cancel_requested_at is not null as cancel),
 t as (update strandline.ing_task t set status_code = 'SUCCEEDED', reason_code = 'DONE', batch_no = 1, failures = 0, losses = 0, finished_at = clock_timestamp()
   where t.id = any($1::bigint[]) and t.status_code = 'RUNNING' and t.mutex_key is null
     and t.id <> all(array(select d.requires_task_id from strandline.ing_task_dependency d where d.requires_task_id = any($1::bigint[]) and not d.satisfied)) returning t.id),
 s as (update strandline.ing_pool_slot s set task_id = null, attempt_no = null where s.task_id = any($1::bigint[])),
 b as (insert into strandline.ing_task_run_batch (id, task_id, batch_no, run_id, slice_id, plan_id, walk_no, page_no, page_size, before_token, after_token, idempotent_key, record_count,
   inserted_count, updated_count, unchanged_count, deleted_count, byte_count, content_digest, status_code, started_at)
   select x.id, x.task_id, 1, x.run_id, x.slice_id, $21, x.walk_no, 1, x.size, x.before_token::json, x.after_token::json, x.key, x.records, x.inserted, x.updated, x.unchanged, x.deleted, x.bytes,
     x.digest, 'SUCCEEDED', to_timestamp(x.started / 1000000.0) from x),
 v as (insert into strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count)
   select x.task_id, 1, $22, $23, x.lo, x.hi, x.slice_id, x.run_id, x.records from x where $22::bigint is not null)
select count(*) as fenced, count(*) filter (where f.cancel) as cancelled, array(select x.task_id from x left join t on t.id = x.task_id where t.id is null) as tied from f;

-- name: run.group
-- What the batches of task $1 from number $2 to $3 did, added up.
select sum(record_count)::bigint as records, sum(inserted_count)::bigint as inserted, sum(updated_count)::bigint as updated, sum(unchanged_count)::bigint as unchanged,
  sum(deleted_count)::bigint as deleted from strandline.ing_task_run_batch where task_id = $1 and batch_no between $2 and $3;

-- name: run.last
-- The newest run of task $1: how far it came.
select id, attempt_no, batch_no, walk_no, reached from strandline.ing_task_run where task_id = $1 order by attempt_no desc limit 1;

-- name: run.look
-- The state of run ($1 task, $2 attempt) without a lock, what an operator wishes of it or its worker, and $3 batch ids: an early exit for a lost lease, and the lineage of the rows.
select r.id, r.status_code, r.batch_no, coalesce(r.cancel_requested_at, t.cancel_requested_at) is not null as cancel,
  case when t.held then 'PAUSED' else (select w.status_code from strandline.ing_worker w where w.worker = any(array[r.worker, regexp_replace(r.worker, ':[^:]*$', ''), split_part(r.worker, ':', 1)]) and w.status_code in ('QUARANTINED', 'DRAINING') order by w.status_code limit 1) end as wish,
  array(select nextval('strandline.ing_task_run_batch_id_seq') from generate_series(1, $3::int)) as batch_ids
from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id where r.task_id = $1 and r.attempt_no = $2;

-- name: run.own_batches
-- The batches of the current walk of task $1 up to $2: the rows that a walk from its beginning replaces.
select id from strandline.ing_task_run_batch where task_id = $1 and batch_no <= $2 order by batch_no;

-- name: run.reap
-- Ends the runs ($1 tasks, $2 attempts) whose lease has passed as LOST. A run that is busy in its commit is skipped.
with l as materialized (select r.task_id, r.attempt_no from strandline.ing_task_run r join unnest($1::bigint[], $2::int[]) x(t, a) on r.task_id = x.t and r.attempt_no = x.a
  where r.status_code in ('PLANNED', 'RUNNING') and r.leased_until < clock_timestamp() order by 1 for no key update of r skip locked)
update strandline.ing_task_run u set status_code = 'LOST', end_reason_code = 'LEASE_LOST', ended_by = 'reaper', finished_at = clock_timestamp(),
  errors = jsonb_build_array(jsonb_build_object('origin', 'engine', 'kind', 'lease_lost', 'message', format('no sign of life from %s since %s; its lease passed at %s', u.worker,
    coalesce(u.heartbeat_at, u.created_at), u.leased_until), 'where', u.worker))
from l where u.task_id = l.task_id and u.attempt_no = l.attempt_no returning u.task_id;

-- name: run.reap_lock
-- Takes up to $1 running tasks whose lease has passed; tied are those for which others wait.
select t.id, (select count(*) from strandline.ing_task_dependency d where d.requires_task_id = t.id and not d.satisfied) > 0 as tied, t.attempt_no, t.cancel_requested_at is not null as cancel, t.losses, t.max_losses, t.plan_id,
  coalesce((select r.batch_no > t.batch_no from strandline.ing_task_run r where r.task_id = t.id and r.attempt_no = t.attempt_no), false) as progressed
from strandline.ing_task t where t.status_code = 'RUNNING' and t.id = any(array(
 select task_id from strandline.ing_task_run where status_code in ('PLANNED', 'RUNNING') and finished_at is null and leased_until < clock_timestamp())) order by t.id limit $1 for no key update of t skip locked;

-- name: run.renew
-- Renews runs ($1 tasks, $2 attempts) by $3 microseconds and brings back what is wished of them: the end, a pause, or the end of their worker. Never waits: a missing row has its page open, or is over.
with r as materialized (select r.task_id, r.attempt_no from strandline.ing_task_run r join unnest($1::bigint[], $2::int[]) x(t, a) on r.task_id = x.t and r.attempt_no = x.a
  where r.status_code in ('PLANNED', 'RUNNING') order by 1 for no key update of r skip locked)
update strandline.ing_task_run u set status_code = 'RUNNING', leased_until = clock_timestamp() + $3::bigint * interval '1 microsecond', heartbeat_at = clock_timestamp(),
  started_at = coalesce(u.started_at, clock_timestamp()) from r where u.task_id = r.task_id and u.attempt_no = r.attempt_no
returning u.task_id, u.attempt_no, (select case when coalesce(u.cancel_requested_at, t.cancel_requested_at) is not null then 'CANCELLED' when t.held then 'PAUSED' else (select w.status_code from strandline.ing_worker w where w.worker = any(array[u.worker, regexp_replace(u.worker, ':[^:]*$', ''), split_part(u.worker, ':', 1)]) and w.status_code in ('QUARANTINED', 'DRAINING') order by w.status_code limit 1) end from strandline.ing_task t where t.id = u.task_id) as wish;

-- name: run.skip
-- Writes the batch row of a page that is passed over: $1 task, $2 batch_no, $3 run, $4 walk, $5 token before, $6 after, $7 its records, $8 digest, $9 key, $10 why.
insert into strandline.ing_task_run_batch (task_id, batch_no, run_id, slice_id, plan_id, walk_no, page_no, page_size, before_token, after_token, idempotent_key, record_count, rejected_count, content_digest,
  status_code, error) select $1, $2, $3, t.slice_id, t.plan_id, $4, 1, $7::bigint, $5::json, $6::json, $9, 0, $7::bigint, $8, 'SKIPPED', $10::jsonb from strandline.ing_task t where t.id = $1;

-- name: run.skipped
-- The last batch of task $1, if it is one that was passed over.
select b.batch_no, t.status_code from strandline.ing_task t join lateral (select x.batch_no, x.status_code from strandline.ing_task_run_batch x where x.task_id = t.id order by x.batch_no desc limit 1) b
  on b.status_code = 'SKIPPED' where t.id = $1;

-- name: run.states
-- The states of runs ($1 tasks, $2 attempts), and how they ended.
select r.task_id, r.attempt_no, r.status_code, r.end_reason_code, r.ended_by from strandline.ing_task_run r join unnest($1::bigint[], $2::int[]) x(t, a) on r.task_id = x.t and r.attempt_no = x.a;

-- name: run.walk_records
-- Records committed by task $1 in its walk $2, and those of pages that an operator passed over.
select coalesce(sum(record_count), 0)::bigint as records, coalesce(sum(rejected_count) filter (where status_code = 'SKIPPED'), 0)::bigint as skipped from strandline.ing_task_run_batch where task_id = $1 and walk_no = $2;

-- name: run.walk_start
-- The ordinal of the first page of the current walk $2 of task $1 among its batches.
select coalesce(min(batch_no), 0)::bigint as first, coalesce(max(batch_no), 0)::bigint as last from strandline.ing_task_run_batch where task_id = $1 and walk_no = $2;

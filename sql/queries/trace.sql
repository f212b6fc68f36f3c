-- From a row of a target to everything that brought it there.

-- name: trace.batch
-- Batch $1 and what it belongs to: run, task, slice, plan, trigger, configuration.
select b.id as batch_id, b.batch_no, b.walk_no as batch_walk_no, b.page_no, b.page_size, b.before_token, b.after_token, b.record_count, b.inserted_count, b.updated_count, b.unchanged_count,
  b.deleted_count, b.byte_count, encode(b.content_digest, 'hex') as content_digest, encode(b.idempotent_key, 'hex') as batch_key, b.started_at as batch_started_at, b.finished_at as batch_finished_at,
  r.id as run_id, r.attempt_no, r.worker, r.status_code as run_status, r.started_at as run_started_at, r.finished_at as run_finished_at, r.record_count as run_record_count,
  t.id as task_id, encode(t.idempotent_key, 'hex') as task_key, t.status_code as task_status, t.priority, t.pool, t.generation, t.lo, t.hi, t.params,
  s.id as slice_id, s.slice_no, s.slice_spec, encode(s.slice_signature, 'hex') as slice_signature, s.expr_snapshot,
  p.id as plan_id, encode(p.plan_key, 'hex') as plan_key, p.operation_code, p.slice_strategy_code, p.slice_params, p.window_from, p.window_to, p.window_spec, p.time_zone, p.status_code as plan_status,
  p.total_slices, p.created_at as planned_at, c.id as cursor_id, c.cursor_type_code,
  i.id as trigger_id, i.scheduler_code, i.scheduler_job_id, i.scheduler_log_id, i.trigger_type_code, i.triggered_at, i.actor, i.trigger_params, i.provenance_code,
  i.provenance_config_snapshot, encode(i.provenance_config_hash, 'hex') as config_hash
from strandline.ing_task_run_batch b join strandline.ing_task t on t.id = b.task_id join strandline.ing_plan_slice s on s.id = b.slice_id join strandline.ing_plan p on p.id = b.plan_id
join strandline.ing_schedule_instance i on i.id = p.schedule_instance_id left join strandline.ing_cursor c on c.id = t.cursor_id
left join lateral (select x.* from strandline.ing_task_run x where x.task_id = b.task_id and x.id = b.run_id limit 1) r on true
where b.id = $1;

-- name: trace.keys
-- The primary key that rows of $1.$2 are matched by: of the stream that feeds it, else of the table.
select coalesce((select s.primary_key from strandline.ing_stream s where s.target_schema = $1 and s.target_table = $2 and cardinality(s.primary_key) > 0 order by s.id desc limit 1),
  (select array_agg(a.attname::text order by k.ord) from pg_index i cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, ord)
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum where i.indisprimary and i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text))),
  '{}'::text[]) as keys;

-- name: trace.row
-- The batches of the rows of {target} for which {match} holds: columns compared with the texts $1, read as the columns' types.
select distinct "_sl_batch" as batch from {target} where {match} and cardinality($1::text[]) > 0 order by 1;

-- What of a window is in the target, on its way, given up or missing. Generations older than minimum_generation do not count.

-- name: coverage.end
-- The largest bound that cursor $1 has to do with: covered, planned or on its way; null while nothing was planned.
select greatest(
  (select max(i.hi) from strandline.ing_interval i where i.cursor_id = c.id and i.generation >= c.minimum_generation),
  (select max(v.hi) from strandline.ing_coverage v where v.cursor_id = c.id and v.event_sequence_no is null),
  (select max(p.window_to) from strandline.ing_plan p where p.cursor_id = c.id and p.window_to < 9223372036854775807),
  c.value_norm) as hi, c.origin as lo
from strandline.ing_cursor c where c.id = $1;

-- name: coverage.sets
-- The window [$2, $3) of cursor $1 in disjoint parts, ascending: state COVERED, RUNNING, QUEUED, FAILED, CANCELLED or MISSING.
-- One statement, so that a slice that ends meanwhile is in exactly one of them.
with c as (select id, minimum_generation from strandline.ing_cursor where id = $1),
 t as materialized (select t.status_code, int8range(t.lo, t.hi) as r from c join strandline.ing_task t on t.cursor_id = c.id and t.generation >= c.minimum_generation
   join strandline.ing_plan_slice s on s.id = t.slice_id and not s.superseded
   where t.status_code <> 'SUCCEEDED' and t.lo < $3::bigint and t.hi > $2::bigint),
 a as (select int8multirange(int8range($2::bigint, $3::bigint)) as whole,
   coalesce((select range_agg(int8range(i.lo, i.hi)) from c join strandline.ing_interval i on i.cursor_id = c.id and i.generation >= c.minimum_generation
     where i.lo < $3::bigint and i.hi > $2::bigint), '{}')
   + coalesce((select range_agg(int8range(v.lo, v.hi)) from c join strandline.ing_coverage v on v.cursor_id = c.id and v.generation >= c.minimum_generation
     where v.event_sequence_no is null and v.lo < $3::bigint and v.hi > $2::bigint), '{}') as covered,
   coalesce((select range_agg(r) from t where status_code = 'RUNNING'), '{}') as running,
   coalesce((select range_agg(r) from t where status_code = 'QUEUED'), '{}') as queued,
   coalesce((select range_agg(r) from t where status_code = 'FAILED'), '{}') as failed,
   coalesce((select range_agg(r) from t where status_code = 'CANCELLED'), '{}') as cancelled)
select x.state, lower(r) as lo, upper(r) as hi
from a, lateral (values ('COVERED', whole * covered), ('RUNNING', whole * running - covered), ('QUEUED', whole * queued - covered - running),
  ('FAILED', whole * failed - covered - running - queued), ('CANCELLED', whole * cancelled - covered - running - queued - failed),
  ('MISSING', whole - covered - running - queued - failed - cancelled)) x(state, m), lateral unnest(x.m) r
order by lo;

-- name: coverage.tasks
-- The slices of cursor $1 that meet [$2, $3), with their last run; newest generation first where they share a window.
select t.id as task_id, t.lo, t.hi, t.generation, t.status_code, t.last_error, r.worker, r.leased_until, coalesce(r.attempt_no, 0) as attempts
from strandline.ing_plan p join strandline.ing_task t on t.plan_id = p.id and t.cursor_id = p.cursor_id
join strandline.ing_plan_slice s on s.id = t.slice_id and not s.superseded
join strandline.ing_cursor c on c.id = t.cursor_id and t.generation >= c.minimum_generation
left join lateral (select x.worker, x.leased_until, x.attempt_no from strandline.ing_task_run x where x.task_id = t.id order by x.attempt_no desc limit 1) r on true
where p.cursor_id = $1 and t.lo < $3::bigint and t.hi > $2::bigint
order by t.lo, t.generation desc, t.id desc;

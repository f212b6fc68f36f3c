-- Dependencies: edges between tasks, and the gates that stand for a whole plan or for a stream's coverage.

-- name: gate.circle
-- What one of tasks $1 waits for that waits for itself, also through others, gates and streams, as people name it. A row means that neither could ever begin. Lateral, and by key: see task.doomed.
with recursive w(origin, id) as (select distinct requires_task_id, requires_task_id from strandline.ing_task_dependency where task_id = any($1::bigint[]) and not satisfied
 union select w.origin, n.id from w cross join lateral (select t.kind_code, t.cursor_id, t.lo, t.params from strandline.ing_task t where t.id = w.id offset 0) t cross join lateral (
   select e.requires_task_id as id from strandline.ing_task_dependency e where e.task_id = w.id and not e.satisfied
   union all select x.id from strandline.ing_task x where t.kind_code = 'GATE' and t.cursor_id is null and x.plan_id = (t.params ->> 'plan')::bigint and x.status_code in ('QUEUED', 'RUNNING') and x.unmet > 0
   union all select x.id from strandline.ing_task x where t.kind_code = 'GATE' and x.cursor_id = t.cursor_id and x.generation > 0 and x.status_code in ('QUEUED', 'RUNNING') and x.lo < t.lo and x.unmet > 0) n)
select case when g.kind_code <> 'GATE' then 'task ' || g.id when g.cursor_id is null then 'plan ' || (g.params ->> 'plan') else g.provenance_code || '>' || c.cursor_key end as parent
from w join strandline.ing_task_dependency e on e.task_id = w.id and e.requires_task_id = w.origin and not e.satisfied
join strandline.ing_task g on g.id = w.origin left join strandline.ing_cursor c on c.id = g.cursor_id limit 1;

-- name: gate.cover
-- Makes the gate of cursor $1 at bound $2, if it is new.
insert into strandline.ing_task (id, idempotent_key, kind_code, plan_id, slice_id, cursor_id, generation, lo, hi, provenance_code, operation_code, params, pool, held, reason_code)
overriding system value select nextval('strandline.ing_gate_id_seq'), strandline.gate_key('cursor:' || c.id || ':' || $2::bigint), 'GATE', 0, 0, c.id, 0, $2, $2, c.provenance_code, c.operation_code,
  json_build_object('cursor', c.id, 'bound', $2::bigint), '', true, 'DEPENDENCY' from strandline.ing_cursor c where c.id = $1
on conflict (idempotent_key) where kind_code <> 'SLICE' do nothing;

-- name: gate.cursors
-- Cursors $1, to be waited for: what they count and how far they are.
select id, provenance_code, cursor_key, cursor_type_code, value_norm from strandline.ing_cursor where id = any($1::bigint[]) order by id;

-- name: gate.depend
-- Makes every live task of plan $1 wait for parents $2 in the ways $3; they are locked and not over in that way.
insert into strandline.ing_task_dependency (task_id, requires_task_id, kind_code) select t.id, x.id, x.kind from strandline.ing_task t
cross join unnest($2::bigint[], $3::text[]) x(id, kind) where t.plan_id = $1;

-- name: gate.due
-- Gates that can open: of cursor $1 (null: of any) where its watermark has reached their bound.
select g.id from strandline.ing_task g join strandline.ing_cursor c on c.id = g.cursor_id
where g.generation = 0 and g.status_code = 'QUEUED' and g.cursor_id is not null and ($1::bigint is null or g.cursor_id = $1) and g.lo <= c.value_norm order by g.id;

-- name: gate.fallen
-- What keeps tasks $1 down: parents that did not succeed, as people name them.
select e.task_id, case when p.kind_code = 'GATE' then 'plan ' || (p.params ->> 'plan') else 'task ' || p.id end as parent, p.status_code
from strandline.ing_task_dependency e join strandline.ing_task p on p.id = e.requires_task_id
where e.task_id = any($1::bigint[]) and not e.satisfied and e.kind_code = 'ALL_SUCCEEDED' and p.status_code in ('FAILED', 'CANCELLED') order by e.task_id, p.id limit 1;

-- name: gate.fallen_of_plan
-- The gate of plan $1 where it fell, and whether all of the plan's window is loaded now, by whomever.
select g.id, strandline.plan_loaded($1) as loaded from strandline.ing_task g
where g.kind_code = 'GATE' and g.idempotent_key = strandline.gate_key('plan:' || $1::bigint) and g.status_code in ('FAILED', 'CANCELLED');

-- name: gate.forget
-- Takes tasks $1 out of what they waited for: the plan that takes them up says anew what that is.
delete from strandline.ing_task_dependency where task_id = any($1::bigint[]);

-- name: gate.hold
-- Takes what task $1 waits for: none of it ends before the end of this transaction.
select id from strandline.ing_task where id = any(array(select requires_task_id from strandline.ing_task_dependency where task_id = $1 and not satisfied)) order by id for share;

-- name: gate.inherit
-- Tasks $2 wait for what task $1, locked, waits for.
insert into strandline.ing_task_dependency (task_id, requires_task_id, kind_code, satisfied) select n.id, e.requires_task_id, e.kind_code, e.satisfied
from strandline.ing_task_dependency e cross join unnest($2::bigint[]) n(id) where e.task_id = $1;

-- name: gate.mended
-- Earlier plans whose window meets that of plan $1, which others waited for in vain: it may have loaded what they failed to.
select o.id from strandline.ing_plan p join strandline.ing_plan o on o.cursor_id = p.cursor_id and o.generation = p.generation and o.id <> p.id and o.status_code in ('PARTIAL', 'FAILED', 'CANCELLED')
  and o.window_from < p.window_to and o.window_to > p.window_from
join strandline.ing_task g on g.kind_code = 'GATE' and g.idempotent_key = strandline.gate_key('plan:' || o.id) and g.status_code in ('FAILED', 'CANCELLED') where p.id = $1 order by o.id;

-- name: gate.of_plan
-- The gate of plan $1, while somebody waits at it, locked: from here on nobody new comes to wait.
select id from strandline.ing_task where kind_code = 'GATE' and idempotent_key = strandline.gate_key('plan:' || $1::bigint) and status_code = 'QUEUED' for no key update;

-- name: gate.open
-- Begins the end of gates $1, locked: a gate passes through RUNNING as every task does.
update strandline.ing_task set status_code = 'RUNNING' where id = any($1::bigint[]) and status_code = 'QUEUED' and kind_code = 'GATE' returning id;

-- name: gate.parents
-- Tasks $1 and gates of keys $2 as they stand; nothing of them can end before the end of this transaction.
select id, kind_code, status_code, reason_code from strandline.ing_task where id = any(array(select unnest($1::bigint[]) union select g.id from strandline.ing_task g
 where g.kind_code = 'GATE' and g.idempotent_key = any(array(select strandline.gate_key(k) from unnest($2::text[]) k)))) order by id for share;

-- name: gate.plan
-- Makes the gate of plan $1, if it is new; FAILED where the plan ended otherwise than in success. One that fell with the plan stands again when the plan is open again.
insert into strandline.ing_task (id, idempotent_key, kind_code, plan_id, slice_id, generation, provenance_code, operation_code, params, pool, held, status_code, reason_code)
overriding system value select nextval('strandline.ing_gate_id_seq'), strandline.gate_key('plan:' || p.id), 'GATE', 0, 0, 0, p.provenance_code, p.operation_code, json_build_object('plan', p.id), '', true,
  case when p.status_code = 'ACTIVE' then 'QUEUED' else 'FAILED' end, case when p.status_code = 'ACTIVE' then 'DEPENDENCY' else 'FAILED' end from strandline.ing_plan p where p.id = $1
on conflict (idempotent_key) where kind_code <> 'SLICE' do update set status_code = 'QUEUED', attempt_no = strandline.ing_task.attempt_no + 1, reason_code = 'DEPENDENCY', finished_at = null
where strandline.ing_task.status_code in ('FAILED', 'CANCELLED') and excluded.status_code = 'QUEUED';

-- name: gate.plans
-- Plans $1, to be waited for, and those that hold what they left out as in flight; none of them can close before the end of this transaction.
select p.id, p.status_code, p.id = any($1::bigint[]) as asked from strandline.ing_plan p where p.id = any(array(select unnest($1::bigint[]) union select t.plan_id from strandline.ing_plan a
 join strandline.ing_task t on t.cursor_id = a.cursor_id and t.generation = a.generation and t.status_code in ('QUEUED', 'RUNNING') and t.lo < a.window_to and t.hi > a.window_from
 where a.id = any($1::bigint[]))) order by p.id for share of p;

-- name: gate.turn
-- Takes the turn of those who make tasks wait, before every other lock: of two who do not see each other, each could close one half of a circle.
select pg_advisory_xact_lock(hashtextextended('strandline.dependencies', 0));

-- name: gate.unmet
-- Counts anew what tasks $1 wait for, while they are queued.
update strandline.ing_task t set unmet = (select count(*) from strandline.ing_task_dependency e where e.task_id = t.id and not e.satisfied), reason_code = 'DEPENDENCY'
where t.id = any($1::bigint[]) and t.status_code = 'QUEUED';

-- Pools: how many of their tasks may run at once. A limit is rows that claims take and exits give back.

-- name: pool.adopt
-- Gives the running tasks of pool $1 that sit nowhere a place: they began before the pool had its limit. Those beyond it get surplus places.
with n as materialized (select t.id, t.attempt_no, row_number() over (order by t.id) as k from strandline.ing_task_run r join strandline.ing_task t on t.id = r.task_id and t.attempt_no = r.attempt_no
   where r.finished_at is null and t.pool = $1 and t.status_code = 'RUNNING' and not exists (select from strandline.ing_pool_slot o where o.task_id = t.id and o.attempt_no = t.attempt_no)),
 f as materialized (select s.slot_no, row_number() over (order by s.slot_no) as k from (select o.slot_no from strandline.ing_pool_slot o where o.pool = $1 and o.task_id is null order by o.slot_no for no key update) s),
 u as (update strandline.ing_pool_slot o set task_id = n.id, attempt_no = n.attempt_no from n join f using (k) where o.pool = $1 and o.slot_no = f.slot_no)
insert into strandline.ing_pool_slot (pool, slot_no, task_id, attempt_no)
select $1, (select coalesce(max(slot_no), 0) from strandline.ing_pool_slot where pool = $1) + row_number() over (order by n.id), n.id, n.attempt_no from n where n.k > (select count(*) from f);

-- name: pool.fit
-- Makes the free places of pool $1 as many as its limit $2 lets be, null for none: adds what is missing; surplus ones go when they come free.
with d as (delete from strandline.ing_pool_slot o where (o.pool, o.slot_no) in (select x.pool, x.slot_no from strandline.ing_pool_slot x where x.pool = $1 and x.task_id is null and x.slot_no > coalesce($2::int, 0)))
insert into strandline.ing_pool_slot (pool, slot_no) select $1, k from generate_series(1, $2::int) k on conflict (pool, slot_no) do nothing;

-- name: pool.limited
-- Pools that have a limit, and those with places left over from one.
select p.pool, p.slots from strandline.ing_pool p where p.slots is not null or exists (select from strandline.ing_pool_slot o where o.pool = p.pool) order by p.pool;

-- name: pool.lock
-- Takes pool $1.
select slots from strandline.ing_pool where pool = $1 for no key update;

-- name: pool.orphans
-- Gives back places whose task no longer runs.
update strandline.ing_pool_slot s set task_id = null, attempt_no = null where (s.pool, s.slot_no) = any(array(select (o.pool, o.slot_no) from strandline.ing_pool_slot o
 where o.task_id is not null and not exists (select 1 from strandline.ing_task t where t.id = o.task_id and t.status_code = 'RUNNING' and t.attempt_no = o.attempt_no) for no key update of o skip locked))
returning s.pool, s.slot_no;

-- name: pool.set
-- Gives pool $1 the limit $2, null for none, by $3. No row: it has it already.
insert into strandline.ing_pool as p (pool, slots, actor) values ($1, $2::int, $3) on conflict (pool) do update set slots = excluded.slots, actor = excluded.actor, version = p.version + 1, updated_at = clock_timestamp()
where p.slots is distinct from excluded.slots returning p.pool;

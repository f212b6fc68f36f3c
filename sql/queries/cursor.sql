-- The fold: coverage commits first; then, in a transaction of its own, it is merged into the intervals, written as an event
-- and stamped. Whoever held the cursor row looks again after its commit, so that no coverage is left behind.

-- name: cursor.again
-- Whether cursor $1 has coverage that no fold has seen. After COMMIT.
select exists (select 1 from strandline.ing_coverage where cursor_id = $1 and event_sequence_no is null) as more;

-- name: cursor.event
-- Writes event $2 of cursor $1 and moves the head: $3 generation, $4 direction, $5 mark before, $6 after, $7 and $8 bounds added, $9 rows stamped, $10 their digest, $11 actor,
-- $12 reason, $13 hash before, $14 hash, $15 value as the source spells it, $16 largest bound seen.
with e as (insert into strandline.ing_cursor_event (cursor_id, sequence_no, generation, direction_code, prev_value, new_value, intervals, interval_count, coverage_count, coverage_digest, actor, reason, prev_hash, event_hash)
  select $1, $2, $3, $4, $5, $6, coalesce((select range_agg(int8range(lo, hi)) from unnest($7::bigint[], $8::bigint[]) x(lo, hi)), '{}'), cardinality($7::bigint[]), $9, $10, $11, $12, $13, $14)
update strandline.ing_cursor set value_norm = $6, value = $15::json, observed_max = greatest(observed_max, $16::bigint), head_sequence_no = $2, head_hash = $14, version = version + 1
where id = $1 and head_sequence_no = $2::bigint - 1 returning id;

-- name: cursor.lock
-- Takes cursor $1 for a fold, or leaves it to its holder, who looks again.
select provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key, cursor_type_code, origin, value, value_norm, generation, minimum_generation, head_sequence_no, head_hash
from strandline.ing_cursor where id = $1 for no key update skip locked;

-- name: cursor.mark
-- The end of the covered prefix of cursor $1 in generation $2 from origin $3: one look into the intervals.
select greatest($3::bigint, (select hi from strandline.ing_interval where cursor_id = $1 and generation = $2 and lo <= $3::bigint order by lo desc limit 1)) as mark;

-- name: cursor.merge
-- Merges the bounds $3, $4 into the intervals of cursor $1, generation $2. Lateral, and by place: one look into the index for each of them, whatever the statistics say or
-- do not say yet; a join may read every interval for each. Nobody else moves them while the cursor is locked.
with n as materialized (select unnest(range_agg(int8range(lo, hi))) as r from unnest($3::bigint[], $4::bigint[]) x(lo, hi)),
 d as (delete from strandline.ing_interval i where i.ctid = any(array(select x.ctid from n cross join lateral (select j.ctid from strandline.ing_interval j
   where j.cursor_id = $1 and j.generation = $2 and j.lo <= upper(n.r) and j.hi >= lower(n.r) and j.lo >= coalesce((select max(k.lo) from strandline.ing_interval k
     where k.cursor_id = $1 and k.generation = $2 and k.lo <= lower(n.r)), lower(n.r)) offset 0) x)) returning i.lo, i.hi)
insert into strandline.ing_interval (cursor_id, generation, lo, hi) select $1, $2, lower(q), upper(q)
from (select unnest(range_agg(z.r)) as q from (select int8range(lo, hi) as r from d union all select r from n) z) y;

-- name: cursor.read
-- Coverage of cursor $1 that no fold has seen, at most 10,000 rows.
select task_id, batch_no, generation, lo, hi, record_count from strandline.ing_coverage where cursor_id = $1 and event_sequence_no is null order by generation, lo, task_id, batch_no limit 10000;

-- name: cursor.stamp
-- Stamps the coverage rows ($2 tasks, $3 batch_nos) with event $1: by their key, whatever the server thinks of the index of unfolded rows.
update strandline.ing_coverage c set event_sequence_no = $1 from unnest($2::bigint[], $3::int[]) x(t, b) where c.task_id = x.t and c.batch_no = x.b and coalesce(c.event_sequence_no, 0) = 0;

-- name: cursor.token
-- The token at the covered end $3 of cursor $1, generation $2.
select b.after_token from strandline.ing_coverage c join strandline.ing_task_run_batch b on b.task_id = c.task_id and b.batch_no <= c.batch_no
where c.cursor_id = $1 and c.generation = $2 and c.hi <= $3::bigint and b.after_token is not null order by c.hi desc, b.batch_no desc limit 1;

-- name: cursor.unfolded
-- Cursors with coverage that no fold has seen.
select distinct cursor_id from strandline.ing_coverage where event_sequence_no is null order by cursor_id;

-- The fold: coverage commits first; then, in a transaction of its own, it is merged into the intervals, written as an event
-- and stamped. Whoever held the cursor row looks again after its commit, so that no coverage is left behind. The
-- statements stand in functions of the schema, for whose plans nobody has to wait twice.

-- name: cursor.again
-- Whether cursor $1 has coverage that no fold has seen, and whether gates are due at its watermark. After COMMIT.
select more, due from strandline.fold_look($1);

-- name: cursor.take
-- Takes cursor $1 for a fold, or leaves it to its holder, who looks again: its head, and for each generation what was unfolded and is merged into the intervals now.
select provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key, cursor_type_code, value, value_norm, minimum_generation, head_sequence_no, head_hash,
  generation, mark, tasks, batches, los, his, counts from strandline.fold_take($1);

-- name: cursor.token
-- The token at the covered end $3 of cursor $1, generation $2.
select b.after_token from strandline.ing_coverage c join strandline.ing_task_run_batch b on b.task_id = c.task_id and b.batch_no <= c.batch_no
where c.cursor_id = $1 and c.generation = $2 and c.hi <= $3::bigint and b.after_token is not null order by c.hi desc, b.batch_no desc limit 1;

-- name: cursor.unfolded
-- Cursors with coverage that no fold has seen.
select distinct cursor_id from strandline.ing_coverage where event_sequence_no is null order by cursor_id;

-- name: cursor.write
-- Writes event $2 of cursor $1, moves the head and stamps the coverage: $3 generation, $4 direction, $5 mark before, $6 after, $7 and $8 bounds added, $9 digest of the coverage,
-- $10 actor, $11 reason, $12 hash before, $13 hash, $14 value as the source spells it, $15 tasks and $16 batch_nos of the coverage.
select strandline.fold_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) as moved;

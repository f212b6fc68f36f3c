-- Every transaction of strandline opens with these two, sent together. Nothing outlives the transaction on the server, so that
-- a pooler may hand the connection to anybody afterwards.

-- name: tx.begin
-- Opens a transaction. The level is named because a role's or database's default must not leak in.
begin isolation level read committed;

-- name: tx.begin_read
-- Opens a read-only transaction for the user's own questions.
begin isolation level read committed read only;

-- name: tx.begin_snapshot
-- Opens a read-only transaction in which every statement sees the same moment.
begin isolation level repeatable read read only;

-- name: tx.clock
-- The one clock, in microseconds.
select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now;

-- name: tx.commit
-- Makes it so.
commit;

-- name: tx.limits
-- Its own limits ({idle}, {lock}, {statement}: durations as literals) and a known form of times and bytes in results. Not compiled: an estimate that is too high
-- (recursion, tables without statistics) would cost half a second before a statement of a millisecond.
select set_config('idle_in_transaction_session_timeout', {idle}, true), set_config('lock_timeout', {lock}, true),
  set_config('statement_timeout', {statement}, true), set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, YMD', true),
  set_config('intervalstyle', 'postgres', true), set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true),
  set_config('jit', 'off', true);

-- name: tx.rollback
-- Leaves no trace.
rollback;

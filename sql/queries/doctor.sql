-- What `strandline doctor` looks at. Every query is cheap enough for a busy production server.

-- name: doctor.late_runs
-- Live runs whose lease passed more than $1 seconds ago: no worker reaps them.
select count(*) as runs, coalesce(extract(epoch from clock_timestamp() - min(leased_until)), 0)::float8 as seconds
from strandline.ing_task_run where finished_at is null and leased_until < clock_timestamp() - $1::float8 * interval '1 second';

-- name: doctor.queued
-- Tasks that could be claimed for more than $1 seconds, per pool, and the workers that look there.
select t.pool, count(*) as tasks, extract(epoch from clock_timestamp() - min(t.scheduled_at))::float8 as seconds,
  (select count(*) from strandline.ing_worker w where w.status_code = 'ACTIVE' and t.pool = any(w.pools) and w.heartbeat_at > clock_timestamp() - interval '5 minutes') as workers
from strandline.ing_task t where t.status_code = 'QUEUED' and t.unmet = 0 and not t.mutex_waiting and not t.held
  and t.scheduled_at < clock_timestamp() - $1::float8 * interval '1 second' group by t.pool order by t.pool;

-- name: doctor.roles
-- Who asks, and what it may do with the ledger in schema $1.
select session_user::text as "user", r.rolsuper as superuser,
  pg_get_userbyid(n.nspowner)::text as owner, pg_has_role(session_user, n.nspowner, 'MEMBER') as owns,
  has_table_privilege(session_user, format('%I.ing_task', $1::text), 'select') as reads,
  has_table_privilege(session_user, format('%I.ing_task', $1::text), 'insert, update') as works,
  array(select w from unnest(array[$1::text || '_reader', $1::text || '_runner']) w where not exists (select from pg_roles p where p.rolname = w)) as missing_roles
from pg_roles r, pg_namespace n where r.rolname = session_user and n.nspname = $1;

-- name: doctor.server
-- The server: its version, its clock in microseconds, and whether it can be written to.
select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
  (extract(epoch from clock_timestamp()) * 1000000)::bigint as now, pg_is_in_recovery() or current_setting('transaction_read_only')::bool as read_only,
  current_database()::text as database, current_setting('server_encoding') as encoding, current_setting('fsync')::bool as fsync,
  current_setting('synchronous_commit') as synchronous_commit;

-- name: doctor.unfolded
-- Coverage older than $1 seconds that no fold has stamped: the watermark stays behind it.
select count(*) as parts, count(distinct cursor_id) as cursors, coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as seconds
from strandline.ing_coverage where event_sequence_no is null and created_at < clock_timestamp() - $1::float8 * interval '1 second';

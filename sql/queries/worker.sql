-- Workers: who works, and since when.

-- name: worker.beat
-- A sign of life of worker $1.
update strandline.ing_worker set heartbeat_at = clock_timestamp() where worker = $1;

-- name: worker.register
-- Writes worker $1 on host $2 with pid $3, version $4, serving pools $5.
insert into strandline.ing_worker (worker, host, pid, version, pools) values ($1, $2, $3, $4, $5)
on conflict (worker) do update set host = excluded.host, pid = excluded.pid, version = excluded.version, pools = excluded.pools, status_code = 'ACTIVE',
  started_at = clock_timestamp(), heartbeat_at = clock_timestamp(), stopped_at = null;

-- name: worker.stop
-- Worker $1 ended by itself.
update strandline.ing_worker set status_code = 'STOPPED', stopped_at = clock_timestamp(), heartbeat_at = clock_timestamp() where worker = $1;

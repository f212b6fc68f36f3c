-- Workers: who works, and since when.

-- name: worker.beat
-- A sign of life of worker $1; returns what is wished of it, ACTIVE for nothing.
update strandline.ing_worker set heartbeat_at = clock_timestamp() where worker = $1 returning coalesce((select w.status_code from strandline.ing_worker w
  where w.worker = any(array[$1::text, regexp_replace($1::text, ':[^:]*$', ''), split_part($1::text, ':', 1)]) and w.status_code in ('QUARANTINED', 'DRAINING') order by w.status_code limit 1), 'ACTIVE') as wish;

-- name: worker.drain
-- The workers of the name $1, or on the host or in the process of that name, that are at work now are wished to end. No row: there is none that was not asked before.
update strandline.ing_worker set status_code = 'DRAINING' where (worker = $1 or starts_with(worker, $1::text || ':')) and version <> '' and status_code in ('ACTIVE', 'QUARANTINED') and stopped_at is null returning worker;

-- name: worker.known
-- Whether a worker of the name $1, or on the host or in the process of that name, is known.
select exists (select from strandline.ing_worker k where k.worker = $1 or starts_with(k.worker, $1::text || ':')) as known;

-- name: worker.quarantine
-- The worker $1, or those on the host or in the process of that name, known now or coming later, claim nothing. No row: it is so already.
insert into strandline.ing_worker as w (worker, host, pid, version, pools, status_code)
values ($1, split_part($1::text, ':', 1), coalesce(nullif(split_part($1::text, ':', 2), '')::int, 0), '', '{}', 'QUARANTINED')
on conflict (worker) do update set status_code = 'QUARANTINED' where w.status_code <> 'QUARANTINED' returning w.worker;

-- name: worker.register
-- Writes worker $1, which a quarantine outlives, on host $2 with pid $3, version $4, serving pools $5.
insert into strandline.ing_worker (worker, host, pid, version, pools) values ($1, $2, $3, $4, $5)
on conflict (worker) do update set host = excluded.host, pid = excluded.pid, version = excluded.version, pools = excluded.pools, status_code = case when ing_worker.status_code = 'QUARANTINED' then 'QUARANTINED' else 'ACTIVE' end,
  started_at = clock_timestamp(), heartbeat_at = clock_timestamp(), stopped_at = null;

-- name: worker.release
-- Nothing is wished any more of workers of the name $1, or on the host or in the process of that name. No row: nothing was.
update strandline.ing_worker set status_code = case when stopped_at is null then 'ACTIVE' else 'STOPPED' end
where (worker = $1 or starts_with(worker, $1::text || ':')) and status_code in ('DRAINING', 'QUARANTINED') returning worker;

-- name: worker.stop
-- Worker $1 ended by itself.
update strandline.ing_worker set status_code = case when status_code = 'QUARANTINED' then status_code else 'STOPPED' end, stopped_at = clock_timestamp(), heartbeat_at = clock_timestamp() where worker = $1;

-- Rates that all workers share. Each of these is a transaction of its own, never inside a page, and need not survive a crash of
-- the server: the clock has then moved on.

-- name: rate.declare
-- Gives key $1 the rate of $2 calls per second, $3 of them at once. What was reserved at a slower rate counts no more.
insert into strandline.ing_rate_limit as r (key, per_second, burst) values ($1, $2::float8, $3::float8)
on conflict (key) do update set per_second = excluded.per_second, burst = excluded.burst,
  tat = case when excluded.per_second > r.per_second then least(r.tat, clock_timestamp() + make_interval(secs => excluded.burst / excluded.per_second)) else r.tat end where (r.per_second, r.burst) is distinct from (excluded.per_second, excluded.burst);

-- name: rate.hurry
-- This transaction does not wait for its flush.
select set_config('synchronous_commit', 'off', true);

-- name: rate.push
-- Nobody calls key $1 for $2 seconds.
insert into strandline.ing_rate_limit as r (key, tat) values ($1, clock_timestamp() + make_interval(secs => $2::float8))
on conflict (key) do update set tat = greatest(r.tat, clock_timestamp() + make_interval(secs => $2::float8 + coalesce((r.burst - 1) / r.per_second, 0)));

-- name: rate.say
-- Source $2 gives key $1 the rate $3, null for none; the audit trail keeps what each source said last. One that has none any more takes back its own: the key
-- falls to the rate that another source gave it last, or to none. A rate that somebody else has set since stays.
with said as (select (select (e.detail ->> 'per_second')::float8 from strandline.ing_audit_event e
    where e.subject = 'rate:' || $1::text and e.verb = 'rate' and e.actor = $2::text order by e.id desc limit 1) as rate),
 noted as (insert into strandline.ing_audit_event (verb, subject, actor, detail)
  select 'rate', 'rate:' || $1::text, $2::text, jsonb_build_object('per_second', $3::float8) from said where said.rate is distinct from $3::float8 returning id)
update strandline.ing_rate_limit r set per_second = (select o.rate from (
    select distinct on (e.actor) e.id, (e.detail ->> 'per_second')::float8 as rate from strandline.ing_audit_event e
    where e.subject = 'rate:' || $1::text and e.verb = 'rate' and e.actor <> $2::text order by e.actor, e.id desc) o where o.rate is not null order by o.id desc limit 1)
from said, noted where r.key = $1::text and $3::float8 is null and r.per_second = said.rate;

-- name: rate.take
-- Reserves $2 calls of key $1 and says how many seconds to wait for them. No row: that would be longer than $3 seconds, and nothing is reserved.
update strandline.ing_rate_limit set tat = greatest(tat, clock_timestamp()) + make_interval(secs => $2::int / per_second)
where key = $1 and extract(epoch from greatest(tat, clock_timestamp()) - clock_timestamp()) + ($2::int - burst) / per_second <= $3::float8
returning greatest(0, extract(epoch from tat - clock_timestamp()) - burst / per_second)::float8 as wait;

-- name: rate.wait
-- How many seconds nobody may call key $1.
select greatest(0, extract(epoch from tat - clock_timestamp()) - coalesce((burst - 1) / per_second, 0))::float8 as wait from strandline.ing_rate_limit where key = $1;

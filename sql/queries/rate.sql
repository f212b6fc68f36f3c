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

-- name: rate.take
-- Reserves $2 calls of key $1 and says how many seconds to wait for them. No row: that would be longer than $3 seconds, and nothing is reserved.
update strandline.ing_rate_limit set tat = greatest(tat, clock_timestamp()) + make_interval(secs => $2::int / per_second)
where key = $1 and extract(epoch from greatest(tat, clock_timestamp()) - clock_timestamp()) + ($2::int - burst) / per_second <= $3::float8
returning greatest(0, extract(epoch from tat - clock_timestamp()) - burst / per_second)::float8 as wait;

-- name: rate.wait
-- How many seconds nobody may call key $1.
select greatest(0, extract(epoch from tat - clock_timestamp()) - coalesce((burst - 1) / per_second, 0))::float8 as wait from strandline.ing_rate_limit where key = $1;

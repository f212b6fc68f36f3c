-- Target tables. Identifiers come quoted from the core, never from a string of the user's.

-- name: target.add_column
-- Adds column {column} of type {type} to {target}.
alter table {target} add column if not exists {column} {type};

-- name: target.columns
-- The columns of table $2 in schema $1, with their types as PostgreSQL prints them; no row for no such table.
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required, c.relkind::text as kind
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f') order by a.attnum;

-- name: target.copy
-- COPY into {target} ({columns}).
copy {target} ({columns}) from stdin (format binary);

-- name: target.create
-- Makes {target} with its {columns}.
create table if not exists {target} ({columns});

-- name: target.delete_batches
-- Removes the rows of batches $1 from {target}.
delete from {target} where "_sl_batch" = any($1::bigint[]);

-- name: target.delete_keys
-- Removes from {target} the rows whose keys are staged ({join}); counted per batch.
with d as (delete from {target} t using "_sl_gone" s where {join} returning s."_sl_batch")
select "_sl_batch" as batch, count(*) as n from d group by 1;

-- name: target.drop_stage
-- Drops a stage, so that the next pages of the same transaction can have theirs.
drop table {stage};

-- name: target.lock
-- One process at a time shapes table $1; freed by the end of the transaction.
select pg_advisory_xact_lock(hashtextextended('strandline.target ' || $1, 0));

-- name: target.matches
-- Whether rows of table $2 in schema $1 can be matched by columns $3: it has a unique index on just these. No row for no such table.
select exists (select from pg_index i cross join lateral (select array_agg(a.attname::text) as names from unnest(i.indkey::int2[]) with ordinality k(attnum, ord)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum where k.ord <= i.indnkeyatts) x
  where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null and x.names @> $3::text[] and x.names <@ $3::text[]) as known
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p');

-- name: target.merge
-- Merges the stage into {target}: the last row of a key wins, or the newest by {order}; rows that would not change are not touched; counted per batch.
with s as materialized (select distinct on ({key}) {columns} from "_sl_stage" order by {key}, {order}ctid desc),
 u as (update {target} t set {assign} from s where {join} and {newer} and {changed} returning t."_sl_batch"),
 i as (insert into {target} as t ({columns}) select {columns} from s where not exists (select 1 from {target} t where {join}) order by {key}
   on conflict ({key}) do update set {assign_excluded} where {newer_excluded} and {changed_excluded} returning t."_sl_batch", (t.xmax = 0) as inserted)
select x.batch, count(*) filter (where x.inserted) as inserted, count(*) filter (where not x.inserted) as updated
from (select "_sl_batch" as batch, false as inserted from u union all select "_sl_batch", inserted from i) x group by 1;

-- name: target.schema
-- Makes the schema {schema} of a target.
create schema if not exists {schema};

-- name: target.schema_exists
-- Whether schema $1 exists.
select exists (select from pg_namespace where nspname = $1) as known;

-- name: target.stage
-- A stage for {columns} of {target}, gone with the transaction.
create temporary table {stage} on commit drop as select {columns} from {target} with no data;

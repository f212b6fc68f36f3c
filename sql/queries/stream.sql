-- Sources, connections and streams: what `ingest` registers before it plans.

-- name: stream.connection
-- Makes or finds the connection of provenance $1 into this database; $2 who asks.
insert into strandline.ing_connection as c (provenance_code, actor) values ($1, $2)
on conflict (provenance_code, destination) do update set provenance_code = excluded.provenance_code returning c.id;

-- name: stream.cursor
-- Makes the namespace if it is new: $1 provenance, $2 operation, $3 cursor_key, $4 scope, $5 namespace_key, $6 cursor type, $7 time zone, $8 origin,
-- $9 value as the source spells the origin.
insert into strandline.ing_cursor (provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key, cursor_type_code, time_zone, origin, value_norm, value)
values ($1, $2, $3, $4, $5, $6, $7, $8::bigint, $8::bigint, $9::json)
on conflict (provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key) do nothing;

-- name: stream.cursor_find
-- The namespace: $1 provenance, $2 operation, $3 cursor_key, $4 scope, $5 namespace_key.
select id, cursor_type_code, time_zone, origin, value_norm, generation, minimum_generation, head_sequence_no from strandline.ing_cursor
where provenance_code = $1 and operation_code = $2 and cursor_key = $3 and namespace_scope_code = $4 and namespace_key = $5;

-- name: stream.find
-- A stream of connection $1 named $2 into $3.$4.
select id, write_mode, primary_key, cursor_field from strandline.ing_stream
where connection_id = $1 and stream = $2 and target_schema = $3 and target_table = $4;

-- name: stream.provenance
-- Registers the source or its new configuration: $1 code, $2 reference, $3 version, $4 source digest, $5 config, $6 config hash, $7 labels, $8 actor.
insert into strandline.ing_provenance as p (provenance_code, provider_reference, provider_version, source_digest, config, config_hash, labels, actor)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (provenance_code) do update set provider_reference = excluded.provider_reference, provider_version = excluded.provider_version,
  source_digest = excluded.source_digest, config = excluded.config, config_hash = excluded.config_hash, labels = excluded.labels, actor = excluded.actor,
  version = p.version + 1, updated_at = clock_timestamp()
where (p.provider_reference, p.provider_version, p.source_digest, p.config_hash, p.labels)
  is distinct from (excluded.provider_reference, excluded.provider_version, excluded.source_digest, excluded.config_hash, excluded.labels);

-- name: stream.provenance_state
-- Whether the source $1 may be planned.
select enabled, paused from strandline.ing_provenance where provenance_code = $1;

-- name: stream.upsert
-- Registers the stream: $1 connection, $2 stream, $3 schema, $4 table, $5 mode, $6 primary key, $7 cursor field, $8 columns, $9 contract, $10 labels, $11 actor.
insert into strandline.ing_stream as s (connection_id, stream, target_schema, target_table, write_mode, primary_key, cursor_field, columns, contract, labels, actor)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (connection_id, stream, target_schema, target_table) do update set write_mode = excluded.write_mode, primary_key = excluded.primary_key,
  cursor_field = excluded.cursor_field, columns = excluded.columns, contract = excluded.contract, labels = excluded.labels, actor = excluded.actor,
  version = s.version + case when (s.write_mode, s.primary_key, s.cursor_field, s.columns::text, s.contract, s.labels)
    is distinct from (excluded.write_mode, excluded.primary_key, excluded.cursor_field, excluded.columns::text, excluded.contract, excluded.labels) then 1 else 0 end,
  updated_at = clock_timestamp()
returning s.id;

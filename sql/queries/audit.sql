-- The audit trail.

-- name: audit.write
-- $1 verb, $2 subject, $3 actor, $4 reason, $5 what it changed.
insert into strandline.ing_audit_event (verb, subject, actor, reason, detail) values ($1, $2, $3, $4, $5);

"""All that a migration can make, as text: two schemas are the same when their pictures are.

Catalogs and not pg_dump, which the suite's server may not have beside it. Left out is what has no meaning: the position
of a column in its table, where a sequence stands, and pg_attver, a number that some servers give to tables.
"""

from __future__ import annotations

from typing import Any

import psycopg

_ACL = "array(select a::text from unnest({}) a order by 1)"
_OURS = "n.nspname = 'strandline'"
_CLASS = f"pg_class c join pg_namespace n on n.oid = c.relnamespace and {_OURS}"

_QUERIES = {
    "schema": f"select nspowner::regrole, {_ACL.format('nspacl')} from pg_namespace n where {_OURS}",
    "default grants": f"select defaclrole::regrole, defaclobjtype, {_ACL.format('defaclacl')} from pg_default_acl d"
    f" join pg_namespace n on n.oid = d.defaclnamespace and {_OURS}",
    "relation": "select c.relname, c.relkind, c.relpersistence, c.relowner::regrole, c.reloptions, c.relreplident,"
    f" c.relrowsecurity, {_ACL.format('c.relacl')}, pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),"
    " (select array_agg(i.inhparent::regclass order by i.inhseqno) from pg_inherits i where i.inhrelid = c.oid),"
    f" obj_description(c.oid, 'pg_class') from {_CLASS} where c.relkind <> 'i'",
    "column": "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,"
    " a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,"
    " array(select o from unnest(a.attoptions) o where o not like 'pg_attver=%' order by 1), a.attislocal,"
    f" a.attinhcount, {_ACL.format('a.attacl')}, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)"
    f" from {_CLASS} join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
    " left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum where c.relkind in ('r', 'p')",
    "index": "select c.relname, pg_get_indexdef(c.oid), i.indisvalid, i.indisprimary, i.indimmediate, c.reloptions,"
    " (select h.inhparent::regclass from pg_inherits h where h.inhrelid = c.oid), obj_description(c.oid, 'pg_class')"
    f" from {_CLASS} join pg_index i on i.indexrelid = c.oid",
    "constraint": "select k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.conislocal,"
    " k.coninhcount, k.connoinherit from pg_constraint k join pg_namespace n on n.oid = k.connamespace"
    f" and {_OURS}",
    "trigger": "select pg_get_triggerdef(t.oid), t.tgenabled, t.tgparentid <> 0, obj_description(t.oid, 'pg_trigger')"
    f" from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace and {_OURS}"
    " where not t.tgisinternal",
    "function": f"select pg_get_functiondef(p.oid), p.proowner::regrole, {_ACL.format('p.proacl')},"
    f" obj_description(p.oid, 'pg_proc') from pg_proc p join pg_namespace n on n.oid = p.pronamespace and {_OURS}",
    "sequence": "select c.relname, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,"
    " s.seqcycle, (select d.refobjid::regclass || '.' || d.refobjsubid from pg_depend d where d.objid = c.oid"
    f" and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')) from {_CLASS}"
    " join pg_sequence s on s.seqrelid = c.oid",
    "type": "select t.typname, t.typtype from pg_type t join pg_namespace n on n.oid = t.typnamespace"
    f" and {_OURS} where t.typtype not in ('b', 'c')",
    "policy": "select p.polname from pg_policy p",
    "rule": f"select pg_get_ruledef(r.oid) from pg_rewrite r join pg_class c on c.oid = r.ev_class"
    f" join pg_namespace n on n.oid = c.relnamespace and {_OURS}",
    "statistics": "select stxname from pg_statistic_ext",
    "dictionary": "select type_code, description, extensible from strandline.ing_dict_type",
    "code": "select type_code, item_code, description, is_default, enabled from strandline.ing_dict_item",
    "alias": "select type_code, source_system, external_code, item_code from strandline.ing_dict_alias",
}


def picture(database: psycopg.Connection[Any]) -> list[str]:
    """One line for each thing in the schema, whatever made it."""
    return sorted(
        f"{what}: {', '.join(map(str, row))}"
        for what, statement in _QUERIES.items()
        for row in database.execute(statement).fetchall()
    )


def contents(database: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """All rows of the ledger and of its targets, table by table."""
    names = database.execute(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname in ('strandline', 'public') and c.relkind in ('r', 'p') and not c.relispartition"
    ).fetchall()
    return {
        name: [row for (row,) in database.execute(f"select t::text from {name} t order by 1").fetchall()]
        for (name,) in names
    }

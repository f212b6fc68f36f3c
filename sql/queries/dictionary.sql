-- The registry of codes.

-- name: dictionary.default
-- The default code of dictionary $1.
select item_code from strandline.ing_dict_item where type_code = $1 and is_default and enabled;

-- name: dictionary.items
-- The valid codes of dictionary $1.
select item_code, description, is_default from strandline.ing_dict_item where type_code = $1 and enabled order by item_code;

-- name: dictionary.resolve
-- Our code for the spelling $2 of dictionary $1, as system $3 spells it. Our own spelling wins over an alias.
select item_code from (
  select i.item_code, 1 as rank from strandline.ing_dict_item i where i.type_code = $1 and i.item_code = $2 and i.enabled
  union all
  select i.item_code, case a.source_system when '*' then 3 else 2 end from strandline.ing_dict_alias a
    join strandline.ing_dict_item i on i.type_code = a.type_code and i.item_code = a.item_code and i.enabled
   where a.type_code = $1 and a.external_code = $2 and a.source_system in ($3, '*')) x order by rank limit 1;

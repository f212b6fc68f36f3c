-- Made by tests/data/make_release.py with the code of the release; its docstring says how. Never edited.
-- A ledger in the middle of everything, with its targets, for a database that the migrations of the release
-- have made. Triggers are off: rows enter as they stood.
set session_replication_role = replica;
truncate strandline.ing_instance, strandline.ing_pool, strandline.ing_pool_slot, strandline.ing_schema_migration;
INSERT INTO strandline.ing_audit_event (id, verb, subject, actor, reason, detail, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'retry', 'task:12', 'root', 'the archive was mended', '{"first": [12], "tasks": 1}', '2025-01-01 00:00:02.068379+00'),
	(2, 'cancel', 'task:17', 'root', 'not wanted', '{"first": [17], "tasks": 1}', '2025-01-01 00:00:03.084725+00'),
	(3, 'cancel', 'task:15', 'root', 'not wanted either', '{"first": [15], "tasks": 1}', '2025-01-01 00:00:03.566156+00');
INSERT INTO strandline.ing_provenance (provenance_code, provider_reference, provider_version, source_digest, config, config_hash, enabled, paused, labels, owner, description, actor, version, created_at, updated_at) VALUES
	('value:public.fruit', 'local:value', '1', NULL, '{}', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', true, false, '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.179418+00', '2025-01-01 00:00:00.179418+00'),
	('prices', 'released:Prices', '1', '\xdcd464c21ebc0efa9d6c73e34350bba0b96c53ebdf183d6b5bce004b40537527', '{}', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', true, false, '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.248296+00', '2025-01-01 00:00:00.248296+00'),
	('meter', 'released:Meter', '1', NULL, '{}', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', true, false, '{}', NULL, NULL, 'maker', 1, '2025-01-01 00:00:00.944985+00', '2025-01-01 00:00:00.944985+00'),
	('readings', 'released:Readings', '1', '\x8d3019d0f1979d4a01852d14be0cc805114713daa35b36f71012cc200addd2f5', '{"station":"north"}', '\x66244b7f1cdd41e00c9edc8dbc1e573553631f0e420fec8db5ba68b01c35c0da', true, false, '{"team": "tide"}', NULL, NULL, 'root', 1, '2025-01-01 00:00:01.250411+00', '2025-01-01 00:00:01.250411+00'),
	('value:public.nuts', 'local:value', '1', NULL, '{}', '\x44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', true, false, '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:03.081813+00', '2025-01-01 00:00:03.081813+00');
INSERT INTO strandline.ing_connection (id, provenance_code, destination, labels, owner, description, actor, version, created_at, updated_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'value:public.fruit', 'postgresql', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.179418+00', '2025-01-01 00:00:00.179418+00'),
	(2, 'prices', 'postgresql', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.248296+00', '2025-01-01 00:00:00.248296+00'),
	(4, 'meter', 'postgresql', '{}', NULL, NULL, 'maker', 1, '2025-01-01 00:00:00.944985+00', '2025-01-01 00:00:00.944985+00'),
	(5, 'readings', 'postgresql', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:01.250411+00', '2025-01-01 00:00:01.250411+00'),
	(6, 'value:public.nuts', 'postgresql', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:03.081813+00', '2025-01-01 00:00:03.081813+00');
INSERT INTO strandline.ing_coverage (task_id, batch_no, cursor_id, generation, lo, hi, slice_id, run_id, record_count, event_sequence_no, created_at) VALUES
	(2, 2, 1, 1, 0, 10, 2, 3, 10, 1, '2025-01-01 00:00:00.802911+00'),
	(3, 2, 1, 1, 10, 20, 3, 4, 10, 1, '2025-01-01 00:00:00.822875+00'),
	(6, 1, 2, 1, 0, 10, 6, 5, 10, 1, '2025-01-01 00:00:01.181831+00'),
	(9, 3, 3, 1, 1711580400000000, 1711666800000000, 9, 6, 12, 1, '2025-01-01 00:00:01.479929+00'),
	(10, 3, 3, 1, 1711666800000000, 1711753200000000, 10, 7, 12, 1, '2025-01-01 00:00:01.500071+00'),
	(16, 3, 3, 1, 1712181600000000, 1712268000000000, 16, 13, 12, NULL, '2025-01-01 00:00:03.784730+00');
INSERT INTO strandline.ing_cursor (id, provenance_code, operation_code, cursor_key, namespace_scope_code, namespace_key, cursor_type_code, time_zone, origin, value, value_norm, observed_max, generation, minimum_generation, version, head_sequence_no, head_hash, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'prices', 'HARVEST', 'public.prices', 'GLOBAL', '\x0000000000000000000000000000000000000000000000000000000000000000', 'ID', 'UTC', 0, '20', 20, 20, 1, 1, 3, 1, '\x065c5679aa637f6362af4aa346b87e70c63c135de357e99a0c890735381c28a3', '2025-01-01 00:00:00.248296+00'),
	(2, 'meter', 'HARVEST', 'public.meter', 'GLOBAL', '\x0000000000000000000000000000000000000000000000000000000000000000', 'ID', 'UTC', 0, '10', 10, 10, 1, 1, 2, 1, '\xef30debe3890c9c19f88f38ace952666e13de2816ed460c23bd4eb387ed8848e', '2025-01-01 00:00:00.944985+00'),
	(3, 'readings', 'HARVEST', 'public.readings', 'GLOBAL', '\x0000000000000000000000000000000000000000000000000000000000000000', 'TIME', 'Europe/Berlin', 1711580400000000, '"2024-03-29T23:00:00Z"', 1711753200000000, 1711753200000000, 1, 1, 3, 1, '\x4bfd251369209fe73c2bc25db7b4980c489297a3176a2f4d9f9a8b856600a6bf', '2025-01-01 00:00:01.250411+00');
INSERT INTO strandline.ing_cursor_event (cursor_id, sequence_no, generation, direction_code, prev_value, new_value, intervals, interval_count, coverage_count, coverage_digest, actor, reason, prev_hash, event_hash, created_at) VALUES
	(1, 1, 1, 'FORWARD', 0, 20, '{[0,20)}', 1, 2, '\xccf1b6b2e7a68da0d29a495f4a993098e656bbfbcecb747cca505595486e0027', 'fold', 'coverage', NULL, '\x065c5679aa637f6362af4aa346b87e70c63c135de357e99a0c890735381c28a3', '2025-01-01 00:00:00.901987+00'),
	(2, 1, 1, 'FORWARD', 0, 10, '{[0,10)}', 1, 1, '\xc1a4b6e9415a6b58576cc47ec996cb2aeb7e6d5b3a16f57099cfc31287c15c0b', 'fold', 'coverage', NULL, '\xef30debe3890c9c19f88f38ace952666e13de2816ed460c23bd4eb387ed8848e', '2025-01-01 00:00:01.213765+00'),
	(3, 1, 1, 'FORWARD', 1711580400000000, 1711753200000000, '{[1711580400000000,1711753200000000)}', 1, 2, '\x80a16072584613e73eb0d0dc7371abe39dd0a3781cc5b4ff4e262566fcce8b41', 'fold', 'coverage', NULL, '\x4bfd251369209fe73c2bc25db7b4980c489297a3176a2f4d9f9a8b856600a6bf', '2025-01-01 00:00:01.521275+00');
INSERT INTO strandline.ing_instance (only_row, instance_uuid, created_by_version, created_at) VALUES
	(true, 'a624c6d2-4d88-4648-adca-763ea4edff67', '15.20 (Debian 15.20-0+deb12u1)', '2025-01-01 00:00:00.076489+00');
INSERT INTO strandline.ing_interval (cursor_id, generation, lo, hi, created_at) VALUES
	(1, 1, 0, 20, '2025-01-01 00:00:00.897855+00'),
	(2, 1, 0, 10, '2025-01-01 00:00:01.211735+00'),
	(3, 1, 1711580400000000, 1711753200000000, '2025-01-01 00:00:01.518853+00');
INSERT INTO strandline.ing_mutex (key, slots, admitted, created_at) VALUES
	('meter', 1, 1, '2025-01-01 00:00:00.944985+00');
INSERT INTO strandline.ing_schedule_instance (id, provenance_code, scheduler_code, scheduler_job_id, scheduler_log_id, trigger_type_code, triggered_at, trigger_params, request_hash, provenance_config_snapshot, provenance_config_hash, expr_proto_snapshot, expr_proto_hash, actor, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'value:public.fruit', 'MANUAL', 'public.fruit', 'ca620ad7c1bb2d4fa58985889786ebca', 'MANUAL', '2025-01-01 00:00:00.182176+00', '{"cursor":null,"expr":null,"lag":0,"lookback":0,"only":"missing","operation":"HARVEST","order":"oldest","params":null,"params_defaults":null,"provenance":{"code":"value:public.fruit","config":{}},"strategy":null,"stream":{"columns":null,"contract":{},"cursor_field":null,"mode":"append","name":"value","primary_key":[],"schema":"public","table":"fruit"},"value":{"digest":"f7906fb5eda5d3e9db9bd30530676831468bc4f278f4d610d80e65f006972e39","iterator":false},"window":{"asked":null,"text":null}}', '\x596d167e3ac694ec74e054ad8d4088fe1efb37ef9a9b7997091f45012f0668a7', '{"config":{},"reference":"local:value","version":"1"}', '\xcc4c5de1c6719a7896704df9c7ad406b2dbbdd14c789d71a916974f30cafac05', NULL, NULL, 'root', '2025-01-01 00:00:00.181956+00'),
	(2, 'prices', 'MANUAL', 'prices', 'c5fe98503f8fc1cbaa83c0fe17b6b8ba', 'MANUAL', '2025-01-01 00:00:00.250183+00', '{"cursor":{"time_zone":"UTC","type":"ID"},"expr":null,"lag":0,"lookback":0,"only":"missing","operation":"HARVEST","order":"oldest","params":null,"params_defaults":null,"provenance":{"code":"prices","config":{}},"strategy":{"step":10,"strategy":"ID"},"stream":{"columns":null,"contract":{"columns":"evolve"},"cursor_field":null,"mode":"merge","name":"prices","primary_key":["id"],"schema":"public","table":"prices"},"value":null,"window":{"asked":[0,10],"text":null}}', '\x57c789916ff1c05e3bbf3960eaf852438bf75bf27db0bcafc7922afe82508a14', '{"config":{},"reference":"released:Prices","version":"1"}', '\x1fc339507a0e0634986856944a9b8912d3f3745bd2c7e4c2f6ebf6e230ea63ea', NULL, NULL, 'root', '2025-01-01 00:00:00.249989+00'),
	(3, 'prices', 'MANUAL', 'prices', 'c8fa2bfd218afd1269fe1291ddce116b', 'MANUAL', '2025-01-01 00:00:00.562981+00', '{"cursor":{"time_zone":"UTC","type":"ID"},"expr":null,"lag":0,"lookback":0,"only":"missing","operation":"HARVEST","order":"oldest","params":null,"params_defaults":null,"provenance":{"code":"prices","config":{}},"strategy":{"step":10,"strategy":"ID"},"stream":{"columns":null,"contract":{"columns":"evolve"},"cursor_field":null,"mode":"merge","name":"prices","primary_key":["id"],"schema":"public","table":"prices"},"value":null,"window":{"asked":[0,40],"text":null}}', '\x74b45d4b5e0adec2881da60a5b592d0f2544c4d4c9804fab93344cf3b36960ed', '{"config":{},"reference":"released:Prices","version":"1"}', '\x1fc339507a0e0634986856944a9b8912d3f3745bd2c7e4c2f6ebf6e230ea63ea', NULL, NULL, 'root', '2025-01-01 00:00:00.562781+00'),
	(4, 'meter', 'MANUAL', 'meter', '0ea422496fb607f8d3ac8feea01df5e2', 'MANUAL', '2025-01-01 00:00:00.946912+00', '{"cursor":{"time_zone":"UTC","type":"ID"},"operation":"HARVEST","provenance":{"code":"meter","config":{}},"strategy":{"step":10,"strategy":"ID"},"stream":{"columns":null,"contract":{},"cursor_field":null,"mode":"append","name":"meter","primary_key":[],"schema":"public","table":"meter"},"window":{"asked":[0,30]}}', '\x0fa800dd81ef66ea7b4a531000608b8f07ec97bacb0efd71de5204efc2386077', '{"config":{},"reference":"released:Meter","version":"1"}', '\x2f7457d1dfec96bdeb809d5f0fbbea789d639f18b5628e116713c574b46f8c0c', NULL, NULL, 'maker', '2025-01-01 00:00:00.946718+00'),
	(5, 'readings', 'MANUAL', 'readings', '019b72192de0ed8b65898b80d72aa748', 'MANUAL', '2025-01-01 00:00:01.251928+00', '{"cursor":{"time_zone":"Europe/Berlin","type":"TIME"},"expr":null,"lag":0,"lookback":0,"only":"missing","operation":"HARVEST","order":"oldest","params":null,"params_defaults":null,"provenance":{"code":"readings","config":{"station":"north"}},"strategy":{"step":"1 day","strategy":"TIME"},"stream":{"columns":null,"contract":{"columns":"evolve"},"cursor_field":null,"mode":"append","name":"readings","primary_key":[],"schema":"public","table":"readings"},"value":null,"window":{"asked":["2024-03-28","2024-04-07"],"text":null}}', '\x17c5ebd420f6f392bbc35c10e4ec7faf6abf96100b7d0f3c53f430a37b986848', '{"config":{"station":"north"},"reference":"released:Readings","version":"1"}', '\x518ee25fcdce7f3a90f73c16f34f3f0e16b46b7570ab9c503ec1dda83f239a81', NULL, NULL, 'root', '2025-01-01 00:00:01.251743+00'),
	(6, 'value:public.nuts', 'MANUAL', 'public.nuts', '2fcab7b8c421fca351ed4a83096bef79', 'MANUAL', '2025-01-01 00:00:03.083151+00', '{"cursor":null,"expr":null,"lag":0,"lookback":0,"only":"missing","operation":"HARVEST","order":"oldest","params":null,"params_defaults":null,"provenance":{"code":"value:public.nuts","config":{}},"strategy":null,"stream":{"columns":null,"contract":{},"cursor_field":null,"mode":"append","name":"value","primary_key":[],"schema":"public","table":"nuts"},"value":{"digest":"5d86c91ce09587d3a74d3c9b2f60e2871167b39bb1314ab0170fb732885bcf3c","iterator":false},"window":{"asked":null,"text":null}}', '\x1fe8c281cb24bfeb0bf82132a4c6f1cfa8f09c32aef63f7931348e0d1dd2f430', '{"config":{},"reference":"local:value","version":"1"}', '\xcc4c5de1c6719a7896704df9c7ad406b2dbbdd14c789d71a916974f30cafac05', NULL, NULL, 'root', '2025-01-01 00:00:03.082922+00');
INSERT INTO strandline.ing_stream (id, connection_id, stream, target_schema, target_table, write_mode, primary_key, cursor_field, columns, contract, labels, owner, description, actor, version, created_at, updated_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 'value', 'public', 'fruit', 'append', '{}', NULL, 'null', '{}', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.179418+00', '2025-01-01 00:00:00.179418+00'),
	(2, 2, 'prices', 'public', 'prices', 'merge', '{id}', NULL, 'null', '{"columns": "evolve"}', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:00.248296+00', '2025-01-01 00:00:00.562661+00'),
	(4, 4, 'meter', 'public', 'meter', 'append', '{}', NULL, 'null', '{}', '{}', NULL, NULL, 'maker', 1, '2025-01-01 00:00:00.944985+00', '2025-01-01 00:00:00.944985+00'),
	(5, 5, 'readings', 'public', 'readings', 'append', '{}', NULL, 'null', '{"columns": "evolve"}', '{"team": "tide"}', NULL, NULL, 'root', 1, '2025-01-01 00:00:01.250411+00', '2025-01-01 00:00:01.250411+00'),
	(6, 6, 'value', 'public', 'nuts', 'append', '{}', NULL, 'null', '{}', '{}', NULL, NULL, 'root', 1, '2025-01-01 00:00:03.081813+00', '2025-01-01 00:00:03.081813+00');
INSERT INTO strandline.ing_plan (id, plan_key, schedule_instance_id, stream_id, cursor_id, provenance_code, operation_code, slice_strategy_code, slice_params, window_from, window_to, window_spec, time_zone, expr_proto_hash, generation, total_slices, status_code, reason_code, reason, finished_at, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, '\xc75dfd2d9a68f6824897a8e0b7284d00c3815c1b29de241c3fc4839e8d813347', 1, 1, NULL, 'value:public.fruit', 'HARVEST', 'SINGLE', '{"strategy":"SINGLE"}', NULL, NULL, '{"asked":null,"from":"value","to":"value"}', 'UTC', NULL, 1, 1, 'SUCCEEDED', NULL, NULL, '2025-01-01 00:00:00.215941+00', '2025-01-01 00:00:00.181956+00'),
	(2, '\x15eec71b97057641d12e5976da3b61a41171db9a4c3db07d0e58aa465aa642d7', 2, 2, 1, 'prices', 'HARVEST', 'ID', '{"step":10,"strategy":"ID"}', 0, 10, '{"asked":[0,10],"from":"argument","to":"argument"}', 'UTC', NULL, 1, 1, 'FAILED', NULL, NULL, '2025-01-01 00:00:00.498351+00', '2025-01-01 00:00:00.249989+00'),
	(3, '\x5e673b46367c63c5c27b9f833053a21cf426529f466ae3403bccc8e02f9a7817', 3, 2, 1, 'prices', 'HARVEST', 'ID', '{"step":10,"strategy":"ID"}', 0, 40, '{"asked":[0,40],"from":"argument","to":"argument"}', 'UTC', NULL, 1, 4, 'ACTIVE', NULL, NULL, NULL, '2025-01-01 00:00:00.562781+00'),
	(4, '\x67b87ac848a0d9ccd50da2d814867a7dbdfb41c721c2052d720fd71b3e3ec5dc', 4, 4, 2, 'meter', 'HARVEST', 'ID', '{"step":10,"strategy":"ID"}', 0, 30, '{"asked":[0,30],"from":"argument","to":"argument"}', 'UTC', NULL, 1, 3, 'ACTIVE', NULL, NULL, NULL, '2025-01-01 00:00:00.946718+00'),
	(5, '\xcc6ff65fc266d54dcc18c410dcf4cb1fa01bcfad322dd16ed01df52efecf86a5', 5, 5, 3, 'readings', 'HARVEST', 'TIME', '{"step":"1 day","strategy":"TIME"}', 1711580400000000, 1712440800000000, '{"asked":["2024-03-28","2024-04-07"],"from":"argument","to":"argument"}', 'Europe/Berlin', NULL, 1, 10, 'ACTIVE', NULL, NULL, NULL, '2025-01-01 00:00:01.251743+00'),
	(6, '\x36c447d0ec16d0ae0455099c7ed5710c38d8877ca53d26987f01e26fada19556', 6, 6, NULL, 'value:public.nuts', 'HARVEST', 'SINGLE', '{"strategy":"SINGLE"}', NULL, NULL, '{"asked":null,"from":"value","to":"value"}', 'UTC', NULL, 1, 1, 'ACTIVE', NULL, NULL, NULL, '2025-01-01 00:00:03.082922+00');
INSERT INTO strandline.ing_plan_slice (id, plan_id, slice_no, slice_signature, slice_spec, lo, hi, expr_hash, expr_snapshot, superseded, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 1, '\x07d3d424d99584247379939e9d33861faaeceab3b79f5c5c00bb08a2a301eac4', '{"digest":"f7906fb5eda5d3e9db9bd30530676831468bc4f278f4d610d80e65f006972e39"}', NULL, NULL, NULL, NULL, false, '2025-01-01 00:00:00.181956+00'),
	(2, 2, 1, '\x1334ccc18e0b6d19283f32840369694726e838ae5af17b59cdde86a458fbec49', '{"from":0,"to":10}', 0, 10, NULL, NULL, false, '2025-01-01 00:00:00.249989+00'),
	(3, 3, 2, '\x7bed6065508afedc78608db19539b9b6a42f2a1bde86d7067cce1b759b33dcd5', '{"from":10,"to":20}', 10, 20, NULL, NULL, false, '2025-01-01 00:00:00.562781+00'),
	(4, 3, 3, '\x3c67a8923993e2c86a3c27d7efb9bc8366a96cf3bcd494d793c6f7121543231b', '{"from":20,"to":30}', 20, 30, NULL, NULL, false, '2025-01-01 00:00:00.562781+00'),
	(5, 3, 4, '\x399a26f1bad9a79e5ed73078538f1e0e608a75e778d5699a13e9206836e20fa0', '{"from":30,"to":40}', 30, 40, NULL, NULL, false, '2025-01-01 00:00:00.562781+00'),
	(6, 4, 1, '\xf553f5a35e8b2052bf90fe76f5dcef7ec69990940efb99c61d73d01ef0bb8d8d', '{"from":0,"to":10}', 0, 10, NULL, NULL, false, '2025-01-01 00:00:00.946718+00'),
	(7, 4, 2, '\xb050448dacf6b2c57575bed3a062fea0491ed370e03774d3822f396994a5371f', '{"from":10,"to":20}', 10, 20, NULL, NULL, false, '2025-01-01 00:00:00.946718+00'),
	(8, 4, 3, '\x5f8d5a9708fe653a5b11ac7e905e1cce7ca3afb950d35669e37df0ae3ac7ebbb', '{"from":20,"to":30}', 20, 30, NULL, NULL, false, '2025-01-01 00:00:00.946718+00'),
	(9, 5, 1, '\xdd0105e2bac60bdded31822de5e8f393d58006f67e72e0b8236e6b617c03b174', '{"from":"2024-03-27T23:00:00Z","to":"2024-03-28T23:00:00Z"}', 1711580400000000, 1711666800000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(10, 5, 2, '\xa97ee91e8443defe7fc828f6e15a90f7db9160f195b1d89a5fb6f8b7f591f7d1', '{"from":"2024-03-28T23:00:00Z","to":"2024-03-29T23:00:00Z"}', 1711666800000000, 1711753200000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(11, 5, 3, '\x7d0eaa33a5350fcf6a7c8d2506b9719bebc4020dd2d2657fd8c705a6f32277bb', '{"from":"2024-03-29T23:00:00Z","to":"2024-03-30T23:00:00Z"}', 1711753200000000, 1711839600000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(12, 5, 4, '\xa93eeb9ce0834ff405ab8faa377e2dc2210864cfa4f6dec45d9649d3bf41fbb3', '{"from":"2024-03-30T23:00:00Z","to":"2024-03-31T22:00:00Z"}', 1711839600000000, 1711922400000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(13, 5, 5, '\x54e370c2e82e1ceaac2314cc77cef9b145ea5b63b4e08316bcfd1f6708b023d1', '{"from":"2024-03-31T22:00:00Z","to":"2024-04-01T22:00:00Z"}', 1711922400000000, 1712008800000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(14, 5, 6, '\xae4cbafa6c5bec2b6c501798df6fdb893dabc080f1150f460c1b0a673e7f26d4', '{"from":"2024-04-01T22:00:00Z","to":"2024-04-02T22:00:00Z"}', 1712008800000000, 1712095200000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(15, 5, 7, '\x8e8fe31af70d2f9d33266c02637c354f83b311093f72ad6e587722f8cf759f8b', '{"from":"2024-04-02T22:00:00Z","to":"2024-04-03T22:00:00Z"}', 1712095200000000, 1712181600000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(16, 5, 8, '\xbe87e53602955279418788a98df6a4a2609079e212f2b1843137995c78df7b96', '{"from":"2024-04-03T22:00:00Z","to":"2024-04-04T22:00:00Z"}', 1712181600000000, 1712268000000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(17, 5, 9, '\xbb2c15f587f9b5e18758977578ddf663dd444ca667c29bdc3d64b696361f43fd', '{"from":"2024-04-04T22:00:00Z","to":"2024-04-05T22:00:00Z"}', 1712268000000000, 1712354400000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(18, 5, 10, '\x721f73f3a62ba3a1c1cc43a349bf9046dedefd59a91b85b5bd63239ea49b2e8e', '{"from":"2024-04-05T22:00:00Z","to":"2024-04-06T22:00:00Z"}', 1712354400000000, 1712440800000000, NULL, NULL, false, '2025-01-01 00:00:01.251743+00'),
	(19, 6, 1, '\xd874d6b351206202a3d6b1a0064f8efba443761a0f0e16569ac36176acf40279', '{"digest":"5d86c91ce09587d3a74d3c9b2f60e2871167b39bb1314ab0170fb732885bcf3c"}', NULL, NULL, NULL, NULL, false, '2025-01-01 00:00:03.082922+00');
INSERT INTO strandline.ing_pool (pool, slots, actor, version, created_at, updated_at) VALUES
	('default', NULL, 'strandline', 1, '2025-01-01 00:00:00.123188+00', '2025-01-01 00:00:00.123188+00'),
	('narrow', 1, 'strandline', 1, '2025-01-01 00:00:00.236076+00', '2025-01-01 00:00:00.236076+00');
INSERT INTO strandline.ing_schema_migration (version, title, checksum, duration_ms, actor, created_at) VALUES
	(1, 'sources', '06cac23a2eae407541d59b87764d1cad1936abc510303ee970acc431e06136ae', 18, 'strandline', '2025-01-01 00:00:00.096049+00'),
	(2, 'ledger', '2cae9443a8c1c7f93d16c135e161f35c359920fc6ba7d0c5c50696adba5142f3', 25, 'strandline', '2025-01-01 00:00:00.122710+00'),
	(3, 'work', '524690177356aa81777ab1cebdaa687877ef508c0f7b5a90ede6f276905c9b55', 34, 'strandline', '2025-01-01 00:00:00.157860+00');
INSERT INTO strandline.ing_task (id, idempotent_key, kind_code, plan_id, slice_id, cursor_id, generation, lo, hi, provenance_code, operation_code, credential, params, expr_hash, priority, pool, mutex_key, labels, unmet, mutex_waiting, held, cancel_requested_at, attempt_no, walk_no, batch_no, failures, losses, max_attempts, max_losses, scheduled_at, deadline_at, started_at, finished_at, status_code, reason_code, last_error, created_at) OVERRIDING SYSTEM VALUE VALUES
	(1, '\xeda94c1cc11bac01e747e8aa6cc0a9023cd72dedc778eb84057183a8ed924dfc', 'VALUE', 1, 1, NULL, 1, NULL, NULL, 'value:public.fruit', 'HARVEST', NULL, NULL, NULL, 5, 'local:released:16993:0', NULL, '{}', 0, false, false, NULL, 1, 1, 1, 0, 0, 5, 10, '2025-01-01 00:00:00.184005+00', NULL, '2025-01-01 00:00:00.202099+00', '2025-01-01 00:00:00.214444+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:00.181956+00'),
	(4, '\x10ace79da4b2fe2f581224bd62c65395606ae39a423f28948611529714d80d31', 'SLICE', 3, 4, 1, 1, 20, 30, 'prices', 'HARVEST', NULL, NULL, NULL, 5, 'narrow', NULL, '{}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:00.567171+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:00.562781+00'),
	(5, '\xde2ed5f9972f91e54cc73eda52542c1b0783fee4c123903a24825f2e7062f824', 'SLICE', 3, 5, 1, 1, 30, 40, 'prices', 'HARVEST', NULL, NULL, NULL, 5, 'narrow', NULL, '{}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:00.567171+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:00.562781+00'),
	(2, '\x3123e41ee695977bd21479274b726b7d8c177068c38c0918c584c2bfa84c6775', 'SLICE', 3, 2, 1, 1, 0, 10, 'prices', 'HARVEST', NULL, NULL, NULL, 5, 'narrow', NULL, '{}', 0, false, false, NULL, 2, 1, 2, 0, 0, 5, 10, '2025-01-01 00:00:00.565458+00', NULL, '2025-01-01 00:00:00.471789+00', '2025-01-01 00:00:00.810925+00', 'SUCCEEDED', 'DONE', '{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:83 in next", "origin": "strandline", "message": "the list is torn here"}', '2025-01-01 00:00:00.249989+00'),
	(3, '\x1737c7ecc8d39a9a901aba3bc742441f62ac192a07fd485a5c4c6c381be569a2', 'SLICE', 3, 3, 1, 1, 10, 20, 'prices', 'HARVEST', NULL, NULL, NULL, 5, 'narrow', NULL, '{}', 0, false, false, NULL, 1, 1, 2, 0, 0, 5, 10, '2025-01-01 00:00:00.567171+00', NULL, '2025-01-01 00:00:00.813093+00', '2025-01-01 00:00:00.831450+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:00.562781+00'),
	(8, '\x70f7bfc2f168c36af76a27a22d760c67eb1152783dd37e898bce44671ba91aec', 'SLICE', 4, 8, 2, 1, 20, 30, 'meter', 'HARVEST', NULL, NULL, NULL, 5, 'default', 'meter', '{}', 0, true, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:00.948744+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:00.946718+00'),
	(6, '\x420302205d2a23a724bffce5504f726370ee45df8797be63be6e5b89171faa02', 'SLICE', 4, 6, 2, 1, 0, 10, 'meter', 'HARVEST', NULL, NULL, NULL, 5, 'default', 'meter', '{}', 0, false, false, NULL, 1, 1, 1, 0, 0, 5, 10, '2025-01-01 00:00:00.949810+00', NULL, '2025-01-01 00:00:01.164895+00', '2025-01-01 00:00:01.187956+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:00.946718+00'),
	(7, '\x8f7e4410c0d8bb4a8fc272c20037dd7c0ffb378c5b69ac535064164d1682423a', 'SLICE', 4, 7, 2, 1, 10, 20, 'meter', 'HARVEST', NULL, NULL, NULL, 5, 'default', 'meter', '{}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:01.188932+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:00.946718+00'),
	(9, '\xe07b507603977f6c7eadef5bc65f904a72290be4d78c7491fd1fcce1d9d2cb79', 'SLICE', 5, 9, 3, 1, 1711580400000000, 1711666800000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 3, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:01.460908+00', '2025-01-01 00:00:01.484135+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:01.251743+00'),
	(10, '\x3d8a459c4e89b289f3761df0d05c3d9ce270e6e1fc3959157d9f04a31e42b3f1', 'SLICE', 5, 10, 3, 1, 1711666800000000, 1711753200000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 3, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:01.486453+00', '2025-01-01 00:00:01.505704+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:01.251743+00'),
	(11, '\x41b7e9d0ab6811c15fe74d7f2b8d701276d287ddeb1de019e0ddce199c1a1874', 'SLICE', 5, 11, 3, 1, 1711753200000000, 1711839600000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 1, 1, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:01.760408+00', '2025-01-01 00:00:01.777753+00', 'FAILED', 'FATAL', '{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:61 in next", "origin": "strandline", "message": "the archive of this day is torn"}', '2025-01-01 00:00:01.251743+00'),
	(15, '\xe15f3f4dbaa465d81ba415e636b31c5e6b981fff01aca0dcb13acb09d2fc55a4', 'SLICE', 5, 15, 3, 1, 1712095200000000, 1712181600000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, '2025-01-01 00:00:03.566780+00', 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:03.540887+00', NULL, 'RUNNING', NULL, NULL, '2025-01-01 00:00:01.251743+00'),
	(12, '\xc3bccd7b15af42aa3eceef231a3057a8d1ab6616ae0e0cc02628b2088041122a', 'SLICE', 5, 12, 3, 1, 1711839600000000, 1711922400000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 2, 1, 1, 0, 0, 5, 10, '2025-01-01 00:00:02.071472+00', NULL, '2025-01-01 00:00:01.780544+00', NULL, 'QUEUED', 'RETRIED', '{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:61 in next", "origin": "strandline", "message": "the archive of this day is torn"}', '2025-01-01 00:00:01.251743+00'),
	(13, '\x9beb4fbd50899fb47a807f791c31964736266233b1c06336bdaf6711f4b7af44', 'SLICE', 5, 13, 3, 1, 1711922400000000, 1712008800000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 2, 1, 1, 0, 1, 5, 10, '2025-01-01 00:00:03.177571+00', NULL, '2025-01-01 00:00:02.046203+00', NULL, 'QUEUED', 'LEASE_LOST', NULL, '2025-01-01 00:00:01.251743+00'),
	(17, '\xea0f24eaba89b824ad208300ffb0bb36279bf7629bce0d1840fca2720d7932b1', 'SLICE', 5, 17, 3, 1, 1712268000000000, 1712354400000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, '2025-01-01 00:00:03.085206+00', 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, NULL, '2025-01-01 00:00:03.086747+00', 'CANCELLED', 'CANCELLED', NULL, '2025-01-01 00:00:01.251743+00'),
	(14, '\x3ea318efbf4a2dda6928a76f100909be0a234b8f61a2aa0d88a5c010402c9085', 'SLICE', 5, 14, 3, 1, 1712008800000000, 1712095200000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:03.302671+00', NULL, 'RUNNING', NULL, NULL, '2025-01-01 00:00:01.251743+00'),
	(16, '\x2049ed17712155c4438bad40a63960f34f0d883bdab2e8c0b2d66d5116849cde', 'SLICE', 5, 16, 3, 1, 1712181600000000, 1712268000000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 3, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, '2025-01-01 00:00:03.768372+00', '2025-01-01 00:00:03.789144+00', 'SUCCEEDED', 'DONE', NULL, '2025-01-01 00:00:01.251743+00'),
	(18, '\x26f6a6490321cbe0ff53c403c0208224bec7033b885dcd8f71f4e28c174e789f', 'SLICE', 5, 18, 3, 1, 1712354400000000, 1712440800000000, 'readings', 'HARVEST', NULL, NULL, NULL, 5, 'default', NULL, '{"team": "tide"}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:01.253842+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:01.251743+00'),
	(19, '\xb0fef9c356853684a7d6dd5dc39f17b134f9bb62002d916ba103b65469845319', 'VALUE', 6, 19, NULL, 1, NULL, NULL, 'value:public.nuts', 'HARVEST', NULL, NULL, NULL, 5, 'local:released:16993:0', NULL, '{}', 0, false, false, NULL, 1, 1, 0, 0, 0, 5, 10, '2025-01-01 00:00:03.083991+00', NULL, NULL, NULL, 'QUEUED', NULL, NULL, '2025-01-01 00:00:03.082922+00');
INSERT INTO strandline.ing_task_run_batch (id, task_id, batch_no, run_id, slice_id, plan_id, walk_no, page_no, page_size, before_token, after_token, idempotent_key, record_count, inserted_count, updated_count, unchanged_count, deleted_count, rejected_count, byte_count, content_digest, status_code, error, started_at, finished_at, created_at) VALUES
	(1, 1, 1, 1, 1, 1, 1, 1, 2, NULL, NULL, '\xf7367d9c3db36fd13e0fc1641377ff1137b0c8e9e65fc2a6eaa449a841206d56', 2, 2, 0, 0, 0, 0, 41, '\xa8b58e21c8afd626c40b87d9c9954412ba9b81afff648fa9e05c0f6969a752ac', 'SUCCEEDED', NULL, '2025-01-01 00:00:00.206967+00', '2025-01-01 00:00:00.212095+00', '2025-01-01 00:00:00.209647+00'),
	(2, 2, 1, 2, 2, 2, 1, 1, 5, NULL, '5', '\xecaf5c53b1e7766d4b834da530fc69f676e31b8000a4d0e6333a0f4ac27f2f3c', 5, 5, 0, 0, 0, 0, 120, '\xc5e0bbd5e525fca93bad533d8459bee20c9b8dc7a3430b3b542fc23104644dfd', 'SUCCEEDED', NULL, '2025-01-01 00:00:00.483768+00', '2025-01-01 00:00:00.492777+00', '2025-01-01 00:00:00.488406+00'),
	(3, 2, 2, 3, 2, 3, 1, 1, 5, '5', NULL, '\xd74215c9da66d8d0f3c6bd3dc50ba2e5df0df046166eb6d83c214ca662967ab1', 5, 5, 0, 0, 0, 0, 120, '\xc31d5b4624a40a5b4b5f0a839559306fba1f2f619d5a424e5ba6e0603895eb6c', 'SUCCEEDED', NULL, '2025-01-01 00:00:00.797323+00', '2025-01-01 00:00:00.807890+00', '2025-01-01 00:00:00.802911+00'),
	(4, 3, 1, 4, 3, 3, 1, 1, 5, NULL, '15', '\xa89b79af7902bd4a1283aa771b344e82412100eea3d59266c3ac2d0b216e84a7', 5, 5, 0, 0, 0, 0, 120, '\xd75601ced373f5c5481f9e59a2be88af9899aceb6bf6372234d59a5f60def261', 'SUCCEEDED', NULL, '2025-01-01 00:00:00.814243+00', '2025-01-01 00:00:00.822320+00', '2025-01-01 00:00:00.815513+00'),
	(5, 3, 2, 4, 3, 3, 1, 2, 5, '15', NULL, '\xdc8f0e573e1f3d36615a7e1d6a059ad7be524945fcaf565cc3d3dd75bf8175e5', 5, 5, 0, 0, 0, 0, 120, '\xc100c11fa135ed850d3bb9c539b01dc2c4199e3a94e83d6305a83d68beddc56a', 'SUCCEEDED', NULL, '2025-01-01 00:00:00.814690+00', '2025-01-01 00:00:00.829435+00', '2025-01-01 00:00:00.822875+00'),
	(6, 6, 1, 5, 6, 4, 1, 1, 10, NULL, NULL, '\xe47b40d027296b972939c8078962d5f0cfd72cf768d640a3e6d844194090b254', 10, 10, 0, 0, 0, 0, 120, '\xfb249a3cd61f8af61afea5e8cba56f8d8d8d17c478438742129db31f57e837b3', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.179350+00', '2025-01-01 00:00:01.184311+00', '2025-01-01 00:00:01.181831+00'),
	(7, 9, 1, 6, 9, 5, 1, 1, 4, NULL, '{"next":4}', '\xbbcfedf8b62d59b4dda2d126c4e649fd3156bfb3f95ffa167b81ece89a25834e', 4, 4, 0, 0, 0, 0, 84, '\x404225128b706257fa043ab228835fb60d70160364e15f25d09a30f957ec83d0', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.471714+00', '2025-01-01 00:00:01.477564+00', '2025-01-01 00:00:01.475060+00'),
	(8, 9, 2, 6, 9, 5, 1, 2, 4, '{"next":4}', '{"next":8}', '\xdd65912db45b7661c892f6172e34fdd10c9186007b2b254721017196fb8db6dc', 4, 4, 0, 0, 0, 0, 84, '\xf13326061de6d08cb3494a0c3820d6c8aff379b67c0fbb085cdf3b077a6c674a', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.472327+00', '2025-01-01 00:00:01.479632+00', '2025-01-01 00:00:01.478297+00'),
	(9, 9, 3, 6, 9, 5, 1, 3, 4, '{"next":8}', NULL, '\x9459de9dd57b0f035b7eb872f1ee4fcb0846125ae8b4c685b8f23caa475080b2', 4, 4, 0, 0, 0, 0, 84, '\x6986dfdd731cdeb170109517e27c22b6cc865ee6eed469c42f7a0e3ca87ded55', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.477815+00', '2025-01-01 00:00:01.481391+00', '2025-01-01 00:00:01.479929+00'),
	(10, 10, 1, 7, 10, 5, 1, 1, 4, NULL, '{"next":4}', '\x62900f638db51b92c07f3d401d9d8a4d7175f2957ce0ffcaf51b0e415586a01f', 4, 4, 0, 0, 0, 0, 84, '\x26eddef7dceb166e7f26c71db3f009be9a3eb5b32aab3f098d7073bdb198f99d', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.488681+00', '2025-01-01 00:00:01.493760+00', '2025-01-01 00:00:01.491733+00'),
	(11, 10, 2, 7, 10, 5, 1, 2, 4, '{"next":4}', '{"next":8}', '\xa3f1c6b5748f41f294d1dd2c2073f9454da746364ee19c1deb5fd99396a78feb', 4, 4, 0, 0, 0, 0, 84, '\x8bdee4836b0ef0cd81ae1b20f0bad4dd378826909f5e01c21f476dd3e4ef39ba', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.488970+00', '2025-01-01 00:00:01.499633+00', '2025-01-01 00:00:01.497897+00'),
	(12, 10, 3, 7, 10, 5, 1, 3, 4, '{"next":8}', NULL, '\xe1146bd74c1638005d1e62fef91b1e690e58105dd6aa598250702a62ea14c46b', 4, 4, 0, 0, 0, 0, 84, '\x562161189972531d64ca836bf61f3009488b693a3c1e2f190fb0fb95c8533d39', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.497649+00', '2025-01-01 00:00:01.502213+00', '2025-01-01 00:00:01.500071+00'),
	(13, 11, 1, 8, 11, 5, 1, 1, 4, NULL, '{"next":4}', '\xd3716fab3a498dfffb13a44ec2e3c30b43571586411540d2a902a7a56c98d030', 4, 4, 0, 0, 0, 0, 84, '\x023823033fab6a36e6eb432c6c0a954a9625b83c2e259d583b92bb5c9bbcc63f', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.770338+00', '2025-01-01 00:00:01.774062+00', '2025-01-01 00:00:01.771995+00'),
	(14, 12, 1, 9, 12, 5, 1, 1, 4, NULL, '{"next":4}', '\x3c5ace5542d8ee119fbcd1f23cd58bb5af6b2524deb56606215536c8925fd7a1', 4, 4, 0, 0, 0, 0, 84, '\x139afc5babec810db9a0d23f34ad9477116e6ded0a484d68a659ed8b2b472774', 'SUCCEEDED', NULL, '2025-01-01 00:00:01.782623+00', '2025-01-01 00:00:01.786810+00', '2025-01-01 00:00:01.785265+00'),
	(15, 13, 1, 10, 13, 5, 1, 1, 4, NULL, '{"next":4}', '\x1971e9e59c518f82db55547f37d4cb37ac6e1cc423a179d55ec0b3f7678c1126', 4, 4, 0, 0, 0, 0, 84, '\xc5319d79bcd3f2ec6ba779cfe4a4718232708d2c61f72a1da479f0cbc61e13bd', 'SUCCEEDED', NULL, '2025-01-01 00:00:02.056507+00', '2025-01-01 00:00:02.060301+00', '2025-01-01 00:00:02.058205+00'),
	(16, 14, 1, 11, 14, 5, 1, 1, 4, NULL, '{"next":4}', '\x0dd7c3dae45bb98949975e2a358064c31a05ac09d38f3b801f2775579b046662', 4, 4, 0, 0, 0, 0, 84, '\xee2333bbca2a45b9fd0cc14a89bc0177d4e40da6eb7843bc5e98aab5d337c345', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.314591+00', '2025-01-01 00:00:03.318849+00', '2025-01-01 00:00:03.316493+00'),
	(17, 14, 2, 11, 14, 5, 1, 2, 4, '{"next":4}', '{"next":8}', '\x241a9d5e4b56f3a1802908635609855bbe813edd4a6a03c1457a1dfc68c90613', 4, 4, 0, 0, 0, 0, 84, '\x11806321ac97eebe9b77764365ec7b82b30c68990e5387b066a34d6b6accc418', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.315308+00', '2025-01-01 00:00:03.320795+00', '2025-01-01 00:00:03.319672+00'),
	(18, 15, 1, 12, 15, 5, 1, 1, 4, NULL, '{"next":4}', '\xa67cad8d4255f602b1f023da0c05db14828504249e22a40759e069bacdcc91d8', 4, 4, 0, 0, 0, 0, 84, '\x4b18a2ef44eae7fb8a6bf4fef4e09f0ef255c34d05bab9528d29723bc1e8dd6b', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.552572+00', '2025-01-01 00:00:03.557129+00', '2025-01-01 00:00:03.554669+00'),
	(19, 16, 1, 13, 16, 5, 1, 1, 4, NULL, '{"next":4}', '\xa2a375918268847029400443c6505b13815b1762cd28464269a669123ae662bd', 4, 4, 0, 0, 0, 0, 84, '\x4c44cff9170bdcb4cd8fc7da40a9ec1f9f26d55744ed025fcfbf07939eaa3ef5', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.778564+00', '2025-01-01 00:00:03.782671+00', '2025-01-01 00:00:03.780452+00'),
	(20, 16, 2, 13, 16, 5, 1, 2, 4, '{"next":4}', '{"next":8}', '\x8dfefd6a4b09fd923e33f2ac6d4b7f03c6a722786aa12914cf49024ff2a18507', 4, 4, 0, 0, 0, 0, 84, '\x47c2a138f641f676d234c6ea8f3ec3f5fc96d7dc59e1e424b7c1ece8db125f8a', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.779197+00', '2025-01-01 00:00:03.784452+00', '2025-01-01 00:00:03.783329+00'),
	(21, 16, 3, 13, 16, 5, 1, 3, 4, '{"next":8}', NULL, '\x20ac01ab63244f1419bb14ca337afbf62c816344ea7b4181d309a399c9d230af', 4, 4, 0, 0, 0, 0, 84, '\x090e12956c837d7e2efc6530122b92c7b3f6345d22f244c6427ce0a6c6f0c2f1', 'SUCCEEDED', NULL, '2025-01-01 00:00:03.782895+00', '2025-01-01 00:00:03.786300+00', '2025-01-01 00:00:03.784730+00');
INSERT INTO strandline.ing_task_run (id, task_id, attempt_no, worker, status_code, leased_until, heartbeat_at, cancel_requested_at, checkpoint, walk_no, batch_no, record_count, window_from, window_to, end_reason_code, ended_by, errors, started_at, finished_at, created_at) VALUES
	(1, 1, 1, 'released:16993:1', 'SUCCEEDED', '2025-01-01 00:01:00.211243+00', '2025-01-01 00:00:00.211243+00', NULL, NULL, 1, 1, 2, NULL, NULL, 'DONE', NULL, NULL, '2025-01-01 00:00:00.211243+00', '2025-01-01 00:00:00.211243+00', '2025-01-01 00:00:00.197097+00'),
	(2, 2, 1, 'released:17007:1', 'FAILED', '2025-01-01 01:00:00.491752+00', '2025-01-01 00:00:00.491752+00', NULL, '5', 1, 1, 5, 0, 10, 'FATAL', 'released:17007:1', '[{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:83 in next", "origin": "strandline", "message": "the list is torn here"}]', '2025-01-01 00:00:00.491752+00', '2025-01-01 00:00:00.494233+00', '2025-01-01 00:00:00.466789+00'),
	(3, 2, 2, 'released:17015:1', 'SUCCEEDED', '2025-01-01 01:00:00.807003+00', '2025-01-01 00:00:00.807004+00', NULL, '5', 1, 2, 5, 0, 10, 'DONE', NULL, NULL, '2025-01-01 00:00:00.807004+00', '2025-01-01 00:00:00.807004+00', '2025-01-01 00:00:00.776185+00'),
	(12, 15, 1, 'released:17074:1', 'RUNNING', '2025-01-01 01:00:03.556107+00', '2025-01-01 00:00:03.556107+00', '2025-01-01 00:00:03.567222+00', '{"next":4}', 1, 1, 4, 1712095200000000, 1712181600000000, NULL, NULL, NULL, '2025-01-01 00:00:03.556107+00', NULL, '2025-01-01 00:00:03.534149+00'),
	(4, 3, 1, 'released:17015:1', 'SUCCEEDED', '2025-01-01 01:00:00.828890+00', '2025-01-01 00:00:00.828890+00', NULL, '15', 1, 2, 10, 10, 20, 'DONE', NULL, NULL, '2025-01-01 00:00:00.821825+00', '2025-01-01 00:00:00.828890+00', '2025-01-01 00:00:00.812124+00'),
	(5, 6, 1, 'released:17024:1', 'SUCCEEDED', '2025-01-01 01:00:01.183470+00', '2025-01-01 00:00:01.183471+00', NULL, NULL, 1, 1, 10, 0, 10, 'DONE', NULL, NULL, '2025-01-01 00:00:01.183471+00', '2025-01-01 00:00:01.183471+00', '2025-01-01 00:00:01.159914+00'),
	(6, 9, 1, 'released:17040:1', 'SUCCEEDED', '2025-01-01 01:00:01.481008+00', '2025-01-01 00:00:01.481008+00', NULL, '{"next":8}', 1, 3, 12, 1711580400000000, 1711666800000000, 'DONE', NULL, NULL, '2025-01-01 00:00:01.476328+00', '2025-01-01 00:00:01.481008+00', '2025-01-01 00:00:01.455387+00'),
	(7, 10, 1, 'released:17040:1', 'SUCCEEDED', '2025-01-01 01:00:01.501619+00', '2025-01-01 00:00:01.501619+00', NULL, '{"next":8}', 1, 3, 12, 1711666800000000, 1711753200000000, 'DONE', NULL, NULL, '2025-01-01 00:00:01.492843+00', '2025-01-01 00:00:01.501619+00', '2025-01-01 00:00:01.485323+00'),
	(8, 11, 1, 'released:17049:1', 'FAILED', '2025-01-01 01:00:01.773078+00', '2025-01-01 00:00:01.773078+00', NULL, '{"next":4}', 1, 1, 4, 1711753200000000, 1711839600000000, 'FATAL', 'released:17049:1', '[{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:61 in next", "origin": "strandline", "message": "the archive of this day is torn"}]', '2025-01-01 00:00:01.773079+00', '2025-01-01 00:00:01.775412+00', '2025-01-01 00:00:01.755589+00'),
	(9, 12, 1, 'released:17049:1', 'FAILED', '2025-01-01 01:00:01.786314+00', '2025-01-01 00:00:01.786314+00', NULL, '{"next":4}', 1, 1, 4, 1711839600000000, 1711922400000000, 'FATAL', 'released:17049:1', '[{"kind": "fatal", "where": "/tmp/w/migration/tests/released.py:61 in next", "origin": "strandline", "message": "the archive of this day is torn"}]', '2025-01-01 00:00:01.786314+00', '2025-01-01 00:00:01.790276+00', '2025-01-01 00:00:01.779345+00'),
	(10, 13, 1, 'released:17058:1', 'LOST', '2025-01-01 00:00:02.559280+00', '2025-01-01 00:00:02.059280+00', NULL, '{"next":4}', 1, 1, 4, 1711922400000000, 1712008800000000, 'LEASE_LOST', 'reaper', NULL, '2025-01-01 00:00:02.059280+00', '2025-01-01 00:00:03.075368+00', '2025-01-01 00:00:02.041313+00'),
	(11, 14, 1, 'released:17066:1', 'RUNNING', '2025-01-01 01:00:03.320391+00', '2025-01-01 00:00:03.320392+00', NULL, '{"next":8}', 1, 2, 8, 1712008800000000, 1712095200000000, NULL, NULL, NULL, '2025-01-01 00:00:03.317815+00', NULL, '2025-01-01 00:00:03.297068+00'),
	(13, 16, 1, 'released:17082:1', 'SUCCEEDED', '2025-01-01 01:00:03.785907+00', '2025-01-01 00:00:03.785907+00', NULL, '{"next":8}', 1, 3, 12, 1712181600000000, 1712268000000000, 'DONE', NULL, NULL, '2025-01-01 00:00:03.781625+00', '2025-01-01 00:00:03.785907+00', '2025-01-01 00:00:03.763047+00');
INSERT INTO strandline.ing_worker (worker, host, pid, version, pools, status_code, started_at, heartbeat_at, stopped_at, created_at) VALUES
	('released:16993:1', 'released', 16993, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:00.189784+00', '2025-01-01 00:00:00.225942+00', '2025-01-01 00:00:00.225942+00', '2025-01-01 00:00:00.188790+00'),
	('released:17007:1', 'released', 17007, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:00.459470+00', '2025-01-01 00:00:00.512727+00', '2025-01-01 00:00:00.512727+00', '2025-01-01 00:00:00.458338+00'),
	('released:17015:1', 'released', 17015, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:00.763811+00', '2025-01-01 00:00:00.875289+00', '2025-01-01 00:00:00.875289+00', '2025-01-01 00:00:00.762801+00'),
	('released:17024:1', 'released', 17024, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:01.145340+00', '2025-01-01 00:00:01.204596+00', '2025-01-01 00:00:01.204596+00', '2025-01-01 00:00:01.144470+00'),
	('released:17040:1', 'released', 17040, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:01.450458+00', '2025-01-01 00:00:01.512799+00', '2025-01-01 00:00:01.512799+00', '2025-01-01 00:00:01.449056+00'),
	('released:17049:1', 'released', 17049, '0.1.0', '{}', 'STOPPED', '2025-01-01 00:00:01.750696+00', '2025-01-01 00:00:01.808377+00', '2025-01-01 00:00:01.808378+00', '2025-01-01 00:00:01.749429+00'),
	('released:17058:1', 'released', 17058, '0.1.0', '{}', 'ACTIVE', '2025-01-01 00:00:02.036687+00', '2025-01-01 00:00:02.036687+00', NULL, '2025-01-01 00:00:02.035555+00'),
	('released:17066:1', 'released', 17066, '0.1.0', '{}', 'ACTIVE', '2025-01-01 00:00:03.292058+00', '2025-01-01 00:00:03.292058+00', NULL, '2025-01-01 00:00:03.290955+00'),
	('released:17074:1', 'released', 17074, '0.1.0', '{}', 'ACTIVE', '2025-01-01 00:00:03.528390+00', '2025-01-01 00:00:03.528390+00', NULL, '2025-01-01 00:00:03.527093+00'),
	('released:17082:1', 'released', 17082, '0.1.0', '{}', 'ACTIVE', '2025-01-01 00:00:03.758428+00', '2025-01-01 00:00:03.758428+00', NULL, '2025-01-01 00:00:03.757347+00'),
	('released:16993:0', 'released', 16993, '0.1.0', '{local:released:16993:0}', 'STOPPED', '2025-01-01 00:00:00.171268+00', '2025-01-01 00:00:03.796497+00', '2025-01-01 00:00:03.796497+00', '2025-01-01 00:00:00.170783+00');
SELECT pg_catalog.setval('strandline.ing_audit_event_id_seq', 3, true);
SELECT pg_catalog.setval('strandline.ing_connection_id_seq', 6, true);
SELECT pg_catalog.setval('strandline.ing_cursor_id_seq', 3, true);
SELECT pg_catalog.setval('strandline.ing_plan_id_seq', 6, true);
SELECT pg_catalog.setval('strandline.ing_plan_slice_id_seq', 19, true);
SELECT pg_catalog.setval('strandline.ing_schedule_instance_id_seq', 6, true);
SELECT pg_catalog.setval('strandline.ing_stream_id_seq', 6, true);
SELECT pg_catalog.setval('strandline.ing_task_id_seq', 19, true);
SELECT pg_catalog.setval('strandline.ing_task_run_batch_id_seq', 21, true);
SELECT pg_catalog.setval('strandline.ing_task_run_id_seq', 13, true);
COMMENT ON SCHEMA public IS 'standard public schema';
CREATE TABLE public.fruit (
    name text,
    grams bigint,
    _sl_batch bigint,
    _sl_generation bigint
);
CREATE TABLE public.meter (
    id bigint,
    _sl_batch bigint,
    _sl_generation bigint
);
CREATE TABLE public.prices (
    id bigint NOT NULL,
    cents bigint,
    _sl_batch bigint,
    _sl_generation bigint
);
CREATE TABLE public.readings (
    at timestamp with time zone,
    station text,
    _sl_batch bigint,
    _sl_generation bigint
);
INSERT INTO public.fruit (name, grams, _sl_batch, _sl_generation) VALUES
	('apple', 150, 1, 1),
	('pear', 180, 1, 1);
INSERT INTO public.meter (id, _sl_batch, _sl_generation) VALUES
	(0, 6, 1),
	(1, 6, 1),
	(2, 6, 1),
	(3, 6, 1),
	(4, 6, 1),
	(5, 6, 1),
	(6, 6, 1),
	(7, 6, 1),
	(8, 6, 1),
	(9, 6, 1);
INSERT INTO public.prices (id, cents, _sl_batch, _sl_generation) VALUES
	(0, 0, 2, 1),
	(1, 100, 2, 1),
	(2, 200, 2, 1),
	(3, 300, 2, 1),
	(4, 400, 2, 1),
	(5, 500, 3, 1),
	(6, 600, 3, 1),
	(7, 700, 3, 1),
	(8, 800, 3, 1),
	(9, 900, 3, 1),
	(10, 1000, 4, 1),
	(11, 1100, 4, 1),
	(12, 1200, 4, 1),
	(13, 1300, 4, 1),
	(14, 1400, 4, 1),
	(15, 1500, 5, 1),
	(16, 1600, 5, 1),
	(17, 1700, 5, 1),
	(18, 1800, 5, 1),
	(19, 1900, 5, 1);
INSERT INTO public.readings (at, station, _sl_batch, _sl_generation) VALUES
	('2024-03-27 23:00:00+00', 'north', 7, 1),
	('2024-03-28 01:00:00+00', 'north', 7, 1),
	('2024-03-28 03:00:00+00', 'north', 7, 1),
	('2024-03-28 05:00:00+00', 'north', 7, 1),
	('2024-03-28 07:00:00+00', 'north', 8, 1),
	('2024-03-28 09:00:00+00', 'north', 8, 1),
	('2024-03-28 11:00:00+00', 'north', 8, 1),
	('2024-03-28 13:00:00+00', 'north', 8, 1),
	('2024-03-28 15:00:00+00', 'north', 9, 1),
	('2024-03-28 17:00:00+00', 'north', 9, 1),
	('2024-03-28 19:00:00+00', 'north', 9, 1),
	('2024-03-28 21:00:00+00', 'north', 9, 1),
	('2024-03-28 23:00:00+00', 'north', 10, 1),
	('2024-03-29 01:00:00+00', 'north', 10, 1),
	('2024-03-29 03:00:00+00', 'north', 10, 1),
	('2024-03-29 05:00:00+00', 'north', 10, 1),
	('2024-03-29 07:00:00+00', 'north', 11, 1),
	('2024-03-29 09:00:00+00', 'north', 11, 1),
	('2024-03-29 11:00:00+00', 'north', 11, 1),
	('2024-03-29 13:00:00+00', 'north', 11, 1),
	('2024-03-29 15:00:00+00', 'north', 12, 1),
	('2024-03-29 17:00:00+00', 'north', 12, 1),
	('2024-03-29 19:00:00+00', 'north', 12, 1),
	('2024-03-29 21:00:00+00', 'north', 12, 1),
	('2024-03-29 23:00:00+00', 'north', 13, 1),
	('2024-03-30 01:00:00+00', 'north', 13, 1),
	('2024-03-30 03:00:00+00', 'north', 13, 1),
	('2024-03-30 05:00:00+00', 'north', 13, 1),
	('2024-03-30 23:00:00+00', 'north', 14, 1),
	('2024-03-31 01:00:00+00', 'north', 14, 1),
	('2024-03-31 03:00:00+00', 'north', 14, 1),
	('2024-03-31 05:00:00+00', 'north', 14, 1),
	('2024-03-31 22:00:00+00', 'north', 15, 1),
	('2024-04-01 00:00:00+00', 'north', 15, 1),
	('2024-04-01 02:00:00+00', 'north', 15, 1),
	('2024-04-01 04:00:00+00', 'north', 15, 1),
	('2024-04-01 22:00:00+00', 'north', 16, 1),
	('2024-04-02 00:00:00+00', 'north', 16, 1),
	('2024-04-02 02:00:00+00', 'north', 16, 1),
	('2024-04-02 04:00:00+00', 'north', 16, 1),
	('2024-04-02 06:00:00+00', 'north', 17, 1),
	('2024-04-02 08:00:00+00', 'north', 17, 1),
	('2024-04-02 10:00:00+00', 'north', 17, 1),
	('2024-04-02 12:00:00+00', 'north', 17, 1),
	('2024-04-02 22:00:00+00', 'north', 18, 1),
	('2024-04-03 00:00:00+00', 'north', 18, 1),
	('2024-04-03 02:00:00+00', 'north', 18, 1),
	('2024-04-03 04:00:00+00', 'north', 18, 1),
	('2024-04-03 22:00:00+00', 'north', 19, 1),
	('2024-04-04 00:00:00+00', 'north', 19, 1);
INSERT INTO public.readings (at, station, _sl_batch, _sl_generation) VALUES
	('2024-04-04 02:00:00+00', 'north', 19, 1),
	('2024-04-04 04:00:00+00', 'north', 19, 1),
	('2024-04-04 06:00:00+00', 'north', 20, 1),
	('2024-04-04 08:00:00+00', 'north', 20, 1),
	('2024-04-04 10:00:00+00', 'north', 20, 1),
	('2024-04-04 12:00:00+00', 'north', 20, 1),
	('2024-04-04 14:00:00+00', 'north', 21, 1),
	('2024-04-04 16:00:00+00', 'north', 21, 1),
	('2024-04-04 18:00:00+00', 'north', 21, 1),
	('2024-04-04 20:00:00+00', 'north', 21, 1);
ALTER TABLE ONLY public.prices
    ADD CONSTRAINT prices_pkey PRIMARY KEY (id);
set session_replication_role = origin;

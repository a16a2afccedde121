BEGIN TRANSACTION;
CREATE TABLE approval (
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	action TEXT NOT NULL, 
	parameters JSON NOT NULL, 
	digest TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	asked_at VARCHAR(27) NOT NULL, 
	expires_at VARCHAR(27) NOT NULL, 
	answer TEXT NOT NULL, 
	answered_by TEXT NOT NULL, 
	answered_at VARCHAR(27), 
	answer_reason TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(incident_id) REFERENCES incident (id)
);
INSERT INTO "approval" VALUES('apr-019c1310eb51f033bbaa','inc-019c1310eb51f033bbaa','web2','restart_service','{"service": "cron.service"}','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','mode','propose','2026-01-31T08:00:06.623456Z','2026-01-31T09:00:06.873456Z','pending','',NULL,'');
CREATE TABLE decision (
	incident_id TEXT NOT NULL, 
	action TEXT NOT NULL, 
	parameters JSON NOT NULL, 
	reason TEXT NOT NULL, 
	chooser TEXT NOT NULL, 
	shown_digest TEXT NOT NULL, 
	confidence FLOAT, 
	PRIMARY KEY (incident_id), 
	FOREIGN KEY(incident_id) REFERENCES incident (id)
);
INSERT INTO "decision" VALUES('inc-019c1310e66fb40118f8','restart_service','{"service": "nginx.service"}','it is down','embedded','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',NULL);
INSERT INTO "decision" VALUES('inc-019c1310eb51f033bbaa','restart_service','{"service": "cron.service"}','it is down','embedded','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',NULL);
INSERT INTO "decision" VALUES('inc-019c1310f0333f7ed548','restart_service','{"service": "h\u00e4\u00df-\"lich''.service"}','it is down','embedded','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',NULL);
CREATE TABLE event (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at VARCHAR(27) NOT NULL, 
	kind TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	text TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	data JSON NOT NULL
);
INSERT INTO "event" VALUES(1,'2026-01-31T08:00:00.623456Z','incident.opened','inc-019c1310e66fb40118f8','web1','nginx.service: nginx.service failed; ü   "quoted" it''s','healing-bot','{"subject": "unit:nginx.service", "signature": "sig-web1", "severity": "ERROR", "origin": "log", "age_seconds": 0.5}');
INSERT INTO "event" VALUES(2,'2026-01-31T08:00:00.873456Z','incident.planning','inc-019c1310e66fb40118f8','web1','deciding','healing-bot','{"from": "open"}');
INSERT INTO "event" VALUES(3,'2026-01-31T08:00:01.123456Z','decision.made','inc-019c1310e66fb40118f8','web1','embedded chose restart_service: it is down','healing-bot','{"action": "restart_service", "parameters": {"service": "nginx.service"}, "reason": "it is down", "chooser": "embedded", "shown_digest": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "confidence": null}');
INSERT INTO "event" VALUES(4,'2026-01-31T08:00:01.373456Z','verdict.given','inc-019c1310e66fb40118f8','web1','allowed by rule mode: may','healing-bot','{"outcome": "allowed", "rule": "mode", "reason": "may", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "facts": {"units": {}, "paths": {}}}');
INSERT INTO "event" VALUES(5,'2026-01-31T08:00:01.873456Z','incident.opened','inc-019c1310eb51f033bbaa','web2','cron.service: cron.service failed; ü   "quoted" it''s','healing-bot','{"subject": "unit:cron.service", "signature": "sig-web2", "severity": "ERROR", "origin": "log", "age_seconds": 0.5}');
INSERT INTO "event" VALUES(6,'2026-01-31T08:00:02.123456Z','incident.planning','inc-019c1310eb51f033bbaa','web2','deciding','healing-bot','{"from": "open"}');
INSERT INTO "event" VALUES(7,'2026-01-31T08:00:02.373456Z','decision.made','inc-019c1310eb51f033bbaa','web2','embedded chose restart_service: it is down','healing-bot','{"action": "restart_service", "parameters": {"service": "cron.service"}, "reason": "it is down", "chooser": "embedded", "shown_digest": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "confidence": null}');
INSERT INTO "event" VALUES(8,'2026-01-31T08:00:02.623456Z','verdict.given','inc-019c1310eb51f033bbaa','web2','needs_approval by rule mode: may','healing-bot','{"outcome": "needs_approval", "rule": "mode", "reason": "may", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "facts": {"units": {}, "paths": {}}}');
INSERT INTO "event" VALUES(9,'2026-01-31T08:00:03.123456Z','incident.opened','inc-019c1310f0333f7ed548','web3','häß-"lich''.service: häß-"lich''.service failed; ü   "quoted" it''s','healing-bot','{"subject": "unit:h\u00e4\u00df-\"lich''.service", "signature": "sig-web3", "severity": "ERROR", "origin": "log", "age_seconds": 0.5}');
INSERT INTO "event" VALUES(10,'2026-01-31T08:00:03.373456Z','incident.planning','inc-019c1310f0333f7ed548','web3','deciding','healing-bot','{"from": "open"}');
INSERT INTO "event" VALUES(11,'2026-01-31T08:00:03.623456Z','decision.made','inc-019c1310f0333f7ed548','web3','embedded chose restart_service: it is down','healing-bot','{"action": "restart_service", "parameters": {"service": "h\u00e4\u00df-\"lich''.service"}, "reason": "it is down", "chooser": "embedded", "shown_digest": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "confidence": null}');
INSERT INTO "event" VALUES(12,'2026-01-31T08:00:03.873456Z','verdict.given','inc-019c1310f0333f7ed548','web3','allowed by rule mode: may','healing-bot','{"outcome": "allowed", "rule": "mode", "reason": "may", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "facts": {"units": {}, "paths": {}}}');
INSERT INTO "event" VALUES(13,'2026-01-31T08:00:04.123456Z','incident.healing','inc-019c1310e66fb40118f8','web1','go','healing-bot','{"from": "planning"}');
INSERT INTO "event" VALUES(14,'2026-01-31T08:00:04.373456Z','run.started','inc-019c1310e66fb40118f8','web1','check of restart_service','healing-bot','{"id": "inc-019c1310e66fb40118f8-check", "incident_id": "inc-019c1310e66fb40118f8", "kind": "check", "action": "restart_service", "parameters": {"service": "nginx.service"}, "hosts": ["web1"], "signatures": ["sig-web1"], "playbook": "playbooks/restart_service/act.yml", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}');
INSERT INTO "event" VALUES(15,'2026-01-31T08:00:04.623456Z','run.ended','inc-019c1310e66fb40118f8','web1','check of restart_service: sick','healing-bot','{"id": "inc-019c1310e66fb40118f8-check", "kind": "check", "status": "sick", "rc": 0, "changed": false, "slot_shut": false}');
INSERT INTO "event" VALUES(16,'2026-01-31T08:00:04.873456Z','run.started','inc-019c1310e66fb40118f8','web1','act of restart_service','healing-bot','{"id": "inc-019c1310e66fb40118f8-act", "incident_id": "inc-019c1310e66fb40118f8", "kind": "act", "action": "restart_service", "parameters": {"service": "nginx.service"}, "hosts": ["web1"], "signatures": ["sig-web1"], "playbook": "playbooks/restart_service/act.yml", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}');
INSERT INTO "event" VALUES(17,'2026-01-31T08:00:05.123456Z','run.ended','inc-019c1310e66fb40118f8','web1','act of restart_service: succeeded','healing-bot','{"id": "inc-019c1310e66fb40118f8-act", "kind": "act", "status": "succeeded", "rc": 0, "changed": false, "slot_shut": false}');
INSERT INTO "event" VALUES(18,'2026-01-31T08:00:05.373456Z','run.started','inc-019c1310e66fb40118f8','web1','verify of restart_service','healing-bot','{"id": "inc-019c1310e66fb40118f8-verify", "incident_id": "inc-019c1310e66fb40118f8", "kind": "verify", "action": "restart_service", "parameters": {"service": "nginx.service"}, "hosts": ["web1"], "signatures": ["sig-web1"], "playbook": "playbooks/restart_service/act.yml", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}');
INSERT INTO "event" VALUES(19,'2026-01-31T08:00:05.623456Z','run.ended','inc-019c1310e66fb40118f8','web1','verify of restart_service: succeeded','healing-bot','{"id": "inc-019c1310e66fb40118f8-verify", "kind": "verify", "status": "succeeded", "rc": 0, "changed": false, "slot_shut": false}');
INSERT INTO "event" VALUES(20,'2026-01-31T08:00:05.873456Z','hold.started','inc-019c1310e66fb40118f8','web1','holding','healing-bot','{"cursor": "c", "seconds": 5}');
INSERT INTO "event" VALUES(21,'2026-01-31T08:00:06.123456Z','incident.verified','inc-019c1310e66fb40118f8','web1','v','healing-bot','{"from": "healing"}');
INSERT INTO "event" VALUES(22,'2026-01-31T08:00:06.373456Z','incident.healed','inc-019c1310e66fb40118f8','web1','h','healing-bot','{"from": "verified"}');
INSERT INTO "event" VALUES(23,'2026-01-31T08:00:07.123456Z','approval.asked','inc-019c1310eb51f033bbaa','web2','apr-019c1310eb51f033bbaa: restart_service? propose','healing-bot','{"approval": "apr-019c1310eb51f033bbaa", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd", "parameters": {"service": "cron.service"}, "rule": "mode", "expires_at": "2026-01-31T09:00:06.873456+00:00"}');
INSERT INTO "event" VALUES(24,'2026-01-31T08:00:07.373456Z','incident.pending_approval','inc-019c1310eb51f033bbaa','web2','waits','healing-bot','{"from": "planning"}');
INSERT INTO "event" VALUES(25,'2026-01-31T08:00:07.623456Z','incident.healing','inc-019c1310f0333f7ed548','web3','go','healing-bot','{"from": "planning"}');
INSERT INTO "event" VALUES(26,'2026-01-31T08:00:07.873456Z','run.started','inc-019c1310f0333f7ed548','web3','act of restart_service','healing-bot','{"id": "inc-019c1310f0333f7ed548-act", "incident_id": "inc-019c1310f0333f7ed548", "kind": "act", "action": "restart_service", "parameters": {"service": "nginx.service"}, "hosts": ["web3"], "signatures": ["sig-web3"], "playbook": "playbooks/restart_service/act.yml", "digest": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}');
INSERT INTO "event" VALUES(27,'2026-01-31T08:00:08.123456Z','switch.stopped','','','stopped by ann: so','ann','{}');
CREATE TABLE evidence (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	incident_id TEXT NOT NULL, 
	time VARCHAR(27) NOT NULL, 
	host TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	message TEXT NOT NULL, 
	cursor TEXT, 
	source TEXT NOT NULL, 
	unit_failure BOOLEAN NOT NULL, 
	own_session BOOLEAN NOT NULL, 
	injected BOOLEAN NOT NULL, 
	FOREIGN KEY(incident_id) REFERENCES incident (id)
);
INSERT INTO "evidence" VALUES(1,'inc-019c1310e66fb40118f8','2026-01-31T08:00:00.123456Z','web1','nginx.service',3,'nginx.service failed; ü   "quoted" it''s','s=1;i=2','journal',0,0,0);
INSERT INTO "evidence" VALUES(2,'inc-019c1310e66fb40118f8','2026-01-31T08:00:00.123456Z','web1','nginx.service',3,'again','s=1;i=2','journal',0,0,0);
INSERT INTO "evidence" VALUES(3,'inc-019c1310eb51f033bbaa','2026-01-31T08:00:01.373456Z','web2','cron.service',3,'cron.service failed; ü   "quoted" it''s','s=1;i=2','journal',0,0,0);
INSERT INTO "evidence" VALUES(4,'inc-019c1310eb51f033bbaa','2026-01-31T08:00:01.373456Z','web2','cron.service',3,'again','s=1;i=2','journal',0,0,0);
INSERT INTO "evidence" VALUES(5,'inc-019c1310f0333f7ed548','2026-01-31T08:00:02.623456Z','web3','häß-"lich''.service',3,'häß-"lich''.service failed; ü   "quoted" it''s','s=1;i=2','journal',0,0,0);
INSERT INTO "evidence" VALUES(6,'inc-019c1310f0333f7ed548','2026-01-31T08:00:02.623456Z','web3','häß-"lich''.service',3,'again','s=1;i=2','journal',0,0,0);
CREATE TABLE healing_store (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "healing_store" VALUES(1);
CREATE TABLE incident (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	subject_kind TEXT NOT NULL, 
	subject_name TEXT NOT NULL, 
	signature TEXT NOT NULL, 
	template TEXT NOT NULL, 
	severity INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	first_seen VARCHAR(27) NOT NULL, 
	last_seen VARCHAR(27) NOT NULL, 
	count INTEGER NOT NULL, 
	age_at_detection FLOAT NOT NULL, 
	reason TEXT NOT NULL, 
	UNIQUE (id)
);
INSERT INTO "incident" VALUES(1,'inc-019c1310e66fb40118f8','web1','unit','nginx.service','sig-web1','nginx.service failed; ü   "quoted" it''s',3,'healed','log','2026-01-31T08:00:00.123456Z','2026-01-31T08:00:00.123456Z',2,0.5,'h');
INSERT INTO "incident" VALUES(2,'inc-019c1310eb51f033bbaa','web2','unit','cron.service','sig-web2','cron.service failed; ü   "quoted" it''s',3,'pending_approval','log','2026-01-31T08:00:01.373456Z','2026-01-31T08:00:01.373456Z',2,0.5,'waits');
INSERT INTO "incident" VALUES(3,'inc-019c1310f0333f7ed548','web3','unit','häß-"lich''.service','sig-web3','häß-"lich''.service failed; ü   "quoted" it''s',3,'healing','log','2026-01-31T08:00:02.623456Z','2026-01-31T08:00:02.623456Z',2,0.5,'go');
CREATE TABLE incident_signature (
	incident_id TEXT NOT NULL, 
	signature TEXT NOT NULL, 
	PRIMARY KEY (incident_id, signature), 
	FOREIGN KEY(incident_id) REFERENCES incident (id)
);
INSERT INTO "incident_signature" VALUES('inc-019c1310e66fb40118f8','sig-web1');
INSERT INTO "incident_signature" VALUES('inc-019c1310e66fb40118f8','sig-b');
INSERT INTO "incident_signature" VALUES('inc-019c1310eb51f033bbaa','sig-web2');
INSERT INTO "incident_signature" VALUES('inc-019c1310eb51f033bbaa','sig-b');
INSERT INTO "incident_signature" VALUES('inc-019c1310f0333f7ed548','sig-web3');
INSERT INTO "incident_signature" VALUES('inc-019c1310f0333f7ed548','sig-b');
CREATE TABLE run (
	id TEXT NOT NULL, 
	incident_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	action TEXT NOT NULL, 
	parameters JSON NOT NULL, 
	hosts JSON NOT NULL, 
	signatures JSON NOT NULL, 
	status TEXT NOT NULL, 
	started VARCHAR(27) NOT NULL, 
	ended VARCHAR(27), 
	rc INTEGER, 
	reason TEXT NOT NULL, 
	pid INTEGER, 
	pid_start BIGINT, 
	slot_shut BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "run" VALUES('inc-019c1310e66fb40118f8-check','inc-019c1310e66fb40118f8','check','restart_service','{"service": "nginx.service"}','["web1"]','["sig-web1"]','sick','2026-01-31T08:00:04.373456Z','2026-01-31T08:00:04.623456Z',0,'',4711,99,0);
INSERT INTO "run" VALUES('inc-019c1310e66fb40118f8-act','inc-019c1310e66fb40118f8','act','restart_service','{"service": "nginx.service"}','["web1"]','["sig-web1"]','succeeded','2026-01-31T08:00:04.873456Z','2026-01-31T08:00:05.123456Z',0,'',4711,99,0);
INSERT INTO "run" VALUES('inc-019c1310e66fb40118f8-verify','inc-019c1310e66fb40118f8','verify','restart_service','{"service": "nginx.service"}','["web1"]','["sig-web1"]','succeeded','2026-01-31T08:00:05.373456Z','2026-01-31T08:00:05.623456Z',0,'',4711,99,0);
INSERT INTO "run" VALUES('inc-019c1310f0333f7ed548-act','inc-019c1310f0333f7ed548','act','restart_service','{"service": "nginx.service"}','["web3"]','["sig-web3"]','running','2026-01-31T08:00:07.873456Z',NULL,NULL,'',4712,100,0);
CREATE TABLE run_host (
	run_id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	held BOOLEAN NOT NULL, 
	PRIMARY KEY (run_id, host), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "run_host" VALUES('inc-019c1310e66fb40118f8-check','web1',0);
INSERT INTO "run_host" VALUES('inc-019c1310e66fb40118f8-act','web1',0);
INSERT INTO "run_host" VALUES('inc-019c1310e66fb40118f8-verify','web1',0);
INSERT INTO "run_host" VALUES('inc-019c1310f0333f7ed548-act','web3',1);
CREATE TABLE source_cursor (
	host TEXT NOT NULL, 
	source TEXT NOT NULL, 
	cursor TEXT NOT NULL, 
	PRIMARY KEY (host, source)
);
INSERT INTO "source_cursor" VALUES('web1','journal','c-web1');
INSERT INTO "source_cursor" VALUES('web2','journal','c-web2');
INSERT INTO "source_cursor" VALUES('web3','journal','c-web3');
CREATE TABLE switch (
	id INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "switch" VALUES(1,'ann','so','2026-01-31T08:00:08.123456Z');
CREATE TABLE verdict (
	incident_id TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	facts JSON NOT NULL, 
	PRIMARY KEY (incident_id), 
	FOREIGN KEY(incident_id) REFERENCES incident (id)
);
INSERT INTO "verdict" VALUES('inc-019c1310e66fb40118f8','allowed','mode','may','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"units": {}, "paths": {}}');
INSERT INTO "verdict" VALUES('inc-019c1310eb51f033bbaa','needs_approval','mode','may','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"units": {}, "paths": {}}');
INSERT INTO "verdict" VALUES('inc-019c1310f0333f7ed548','allowed','mode','may','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"units": {}, "paths": {}}');
CREATE TABLE worker (
	name TEXT NOT NULL, 
	seen VARCHAR(27) NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "worker" VALUES('worker','2026-01-31T08:00:08.373456Z');
CREATE INDEX incident_by_state ON incident (state, seq);
CREATE INDEX incident_of_subject ON incident (host, subject_kind, subject_name);
CREATE UNIQUE INDEX one_incident_under_way ON incident (host, subject_kind, subject_name) WHERE state IN ('healing', 'open', 'pending_approval', 'planning', 'verified');
CREATE INDEX ix_run_incident_id ON run (incident_id);
CREATE INDEX run_by_start ON run (started);
CREATE INDEX event_of_incident ON event (incident_id, seq);
CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE INDEX evidence_of_incident ON evidence (incident_id, seq);
CREATE UNIQUE INDEX one_run_a_host ON run_host (host) WHERE held;
CREATE INDEX run_by_host ON run_host (host);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('incident',3);
INSERT INTO "sqlite_sequence" VALUES('event',27);
INSERT INTO "sqlite_sequence" VALUES('evidence',6);
COMMIT;

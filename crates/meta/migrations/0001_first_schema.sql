-- One text for every engine: ids and words are TEXT, points in time BIGINT milliseconds since
-- 1970, JSON is TEXT holding an object. A file that has landed is never edited.

CREATE TABLE seal_check (
    id TEXT NOT NULL PRIMARY KEY,
    value_sealed TEXT NOT NULL
);

CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX projects_name ON projects (org_id, name);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organizations (id),
    description TEXT NOT NULL,
    public_key TEXT NOT NULL,
    private_key_tail TEXT NOT NULL,
    ha1_sealed TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_keys_public_key ON api_keys (public_key);
CREATE INDEX api_keys_org ON api_keys (org_id, created_at_ms, id);

CREATE TABLE key_roles (
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    org_id TEXT REFERENCES organizations (id),
    project_id TEXT REFERENCES projects (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (key_id, position),
    CONSTRAINT key_roles_scope CHECK ((org_id IS NULL) <> (project_id IS NULL))
);
CREATE INDEX key_roles_project ON key_roles (project_id);

CREATE TABLE key_access (
    owner_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    block TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    delete_after_ms BIGINT,
    PRIMARY KEY (owner_id, block)
);

CREATE TABLE project_access (
    owner_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    block TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    delete_after_ms BIGINT,
    PRIMARY KEY (owner_id, block)
);

CREATE TABLE clusters (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    tier TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    hosts TEXT NOT NULL,
    replica_set TEXT,
    mongodb_version TEXT NOT NULL,
    uri_sealed TEXT NOT NULL,
    continuous_backup BOOLEAN NOT NULL,
    termination_protection BOOLEAN NOT NULL,
    -- When the latest scheduled snapshot was due; outlives that snapshot, lest deleting it
    -- made it due again.
    last_scheduled_ms BIGINT,
    -- Rows in restores, so that a list's total costs no scan.
    restore_count BIGINT NOT NULL
);
CREATE UNIQUE INDEX clusters_name ON clusters (project_id, name);

CREATE TABLE snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    status TEXT NOT NULL,
    trigger_word TEXT NOT NULL,
    scheduled_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    finished_at_ms BIGINT,
    expires_at_ms BIGINT NOT NULL,
    mongodb_version TEXT NOT NULL,
    failure TEXT,
    -- The outcome; all of it present once completed, none of it before.
    consistency TEXT,
    cluster_time_seconds BIGINT,
    cluster_time_increment BIGINT,
    documents BIGINT,
    size_bytes BIGINT,
    stored_bytes BIGINT,
    collections BIGINT,
    CONSTRAINT snapshots_outcome CHECK ((status = 'COMPLETED') = (consistency IS NOT NULL))
);
CREATE INDEX snapshots_cluster ON snapshots (cluster_id, scheduled_at_ms, id);
CREATE UNIQUE INDEX snapshots_open_on_demand ON snapshots (cluster_id)
    WHERE trigger_word = 'ON_DEMAND' AND status IN ('PENDING', 'QUEUED', 'RUNNING');

-- Snapshots whose row is gone and whose manifest is to be removed from the store; written with
-- the deletion of the row, so that a crash in between leaves a note and not a mystery.
CREATE TABLE manifests_to_forget (
    snapshot_id TEXT NOT NULL PRIMARY KEY
);

-- Names and ids of snapshot and target are copied in: either may be deleted later, and the
-- row still says truly what was asked for.
CREATE TABLE restores (
    id TEXT NOT NULL PRIMARY KEY,
    delivery TEXT NOT NULL,
    status TEXT NOT NULL,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    cluster_name TEXT NOT NULL,
    project_id TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    snapshot_finished_at_ms BIGINT NOT NULL,
    target_cluster_id TEXT NOT NULL,
    target_name TEXT NOT NULL,
    target_project_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    expires_at_ms BIGINT NOT NULL,
    failure TEXT
);
CREATE INDEX restores_cluster ON restores (cluster_id, created_at_ms, id);
CREATE UNIQUE INDEX restores_open_target ON restores (target_cluster_id)
    WHERE delivery = 'RESTORE' AND status IN ('PENDING', 'QUEUED', 'RUNNING');

CREATE TABLE restore_reports (
    restore_id TEXT NOT NULL PRIMARY KEY REFERENCES restores (id) ON DELETE CASCADE,
    report TEXT NOT NULL
);

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    snapshot_id TEXT REFERENCES snapshots (id) ON DELETE CASCADE,
    restore_id TEXT REFERENCES restores (id) ON DELETE CASCADE,
    cluster_id TEXT NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    -- Who has the lease and until when; both absent when nobody has.
    worker TEXT,
    lease_until_ms BIGINT,
    progress TEXT,
    created_at_ms BIGINT NOT NULL,
    CONSTRAINT jobs_subject CHECK ((snapshot_id IS NULL) <> (restore_id IS NULL)),
    CONSTRAINT jobs_lease CHECK ((worker IS NULL) = (lease_until_ms IS NULL)),
    CONSTRAINT jobs_done_free CHECK (state = 'OPEN' OR worker IS NULL)
);
CREATE UNIQUE INDEX jobs_snapshot ON jobs (snapshot_id);
CREATE UNIQUE INDEX jobs_restore ON jobs (restore_id);
-- Ended jobs have no lease, so looking for a cluster's live one does not walk over them.
CREATE INDEX jobs_cluster ON jobs (cluster_id, lease_until_ms);
CREATE INDEX jobs_open ON jobs (created_at_ms, id) WHERE state = 'OPEN';

CREATE TABLE audit (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);

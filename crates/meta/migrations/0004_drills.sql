-- Drills, and archives that are built before they are offered. Both are rows of restores: a
-- drill's delivery is DRILL, that of an archive of data files DATA_FILES. A drill on a scratch
-- server has its own cluster as target.

ALTER TABLE clusters ADD COLUMN drill_every_days BIGINT;

-- Whether the job works on a scratch server and so leaves its cluster to others.
ALTER TABLE jobs ADD COLUMN scratch BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX restores_drills ON restores (cluster_id, created_at_ms, id)
    WHERE delivery = 'DRILL';
CREATE INDEX restores_open_drills ON restores (target_cluster_id)
    WHERE delivery = 'DRILL' AND status IN ('PENDING', 'QUEUED', 'RUNNING');

-- Whether a restore reads everything back in the end, also where the target's history would prove
-- that it is what the snapshot holds.

ALTER TABLE restores ADD COLUMN reads_whole BOOLEAN NOT NULL DEFAULT FALSE;

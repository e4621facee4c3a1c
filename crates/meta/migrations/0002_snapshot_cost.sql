-- What a snapshot read, stored and shared; absent for snapshots taken before this was noted.
ALTER TABLE snapshots ADD COLUMN cost TEXT;

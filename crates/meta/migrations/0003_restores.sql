-- How a restore was asked to be done, how it was done and why so, and what of the snapshot it is
-- about; selection is a JSON object, absent where everything is put back.

ALTER TABLE restores ADD COLUMN mode TEXT;
ALTER TABLE restores ADD COLUMN chosen_mode TEXT;
ALTER TABLE restores ADD COLUMN chosen_because TEXT;
ALTER TABLE restores ADD COLUMN selection TEXT;

-- What attempts may cost and what of it counts against a day; whose allowance a hold is about.

ALTER TABLE pause ADD COLUMN account TEXT NOT NULL DEFAULT '';

-- 0: no limit of ours.
ALTER TABLE attempt ADD COLUMN cap_usd REAL NOT NULL DEFAULT 0;

-- Its cost, else its cap; NULL while it runs, and where neither is known: it may have cost anything.
ALTER TABLE attempt ADD COLUMN day_usd REAL;

-- Before this release no day had a budget.
UPDATE attempt SET day_usd = 0 WHERE ended_ts > 0;

CREATE INDEX attempt_ended ON attempt (ended_ts, day_usd, cap_usd);

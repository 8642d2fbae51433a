-- Notices on their way to people. state: waiting, sending, sent, dropped. message: the one it was put into, '' while
-- it waits to be put into any. reference: what the far side calls it.

CREATE TABLE outbox (
    ord INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    key TEXT NOT NULL,
    notice TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    tries INTEGER NOT NULL,
    next_ts REAL NOT NULL,
    done_ts REAL NOT NULL,
    reference TEXT NOT NULL,
    trouble TEXT NOT NULL,
    UNIQUE (sink, key)
);

CREATE INDEX outbox_owed ON outbox (sink, ord) WHERE state IN ('waiting', 'sending');

CREATE INDEX outbox_done ON outbox (sink, done_ts, message) WHERE state IN ('sent', 'dropped');

CREATE INDEX outbox_reference ON outbox (sink, reference) WHERE reference <> '';

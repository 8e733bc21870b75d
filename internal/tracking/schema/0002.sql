-- SPDX-License-Identifier: Apache-2.0
-- Runs with different descriptions of one dataset each keep their own: what one run writes is not shown as another's.
CREATE TABLE descriptions (
    id         INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    type       TEXT NOT NULL,
    source     TEXT NOT NULL,
    schema     TEXT NOT NULL,
    profile    TEXT NOT NULL
);
INSERT INTO descriptions SELECT id, experiment, name, digest, type, source, schema, profile FROM datasets;
DROP TABLE datasets;
ALTER TABLE descriptions RENAME TO datasets;
CREATE INDEX datasets_by_name ON datasets (experiment, name, digest);

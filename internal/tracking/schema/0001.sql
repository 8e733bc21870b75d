-- SPDX-License-Identifier: Apache-2.0
-- Every row hangs below a workspace. Public identifiers are unique within their workspace only.
CREATE TABLE workspaces (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Keys of metrics, parameters and tags, interned: a point stores a small number instead of a string.
CREATE TABLE names (
    id        INTEGER PRIMARY KEY,
    workspace INTEGER NOT NULL,
    name      TEXT NOT NULL,
    UNIQUE (workspace, name)
);

CREATE TABLE experiments (
    id        INTEGER PRIMARY KEY,
    workspace INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    location  TEXT NOT NULL,
    deleted   INTEGER NOT NULL DEFAULT 0,
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    UNIQUE (workspace, number),
    UNIQUE (workspace, name)
);

CREATE TABLE experiment_tags (
    experiment INTEGER NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (experiment, key)
) WITHOUT ROWID;

CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    workspace  INTEGER NOT NULL,
    experiment INTEGER NOT NULL,
    uuid       TEXT NOT NULL,
    name       TEXT NOT NULL,
    user       TEXT NOT NULL,
    status     TEXT NOT NULL,
    started    INTEGER NOT NULL,
    ended      INTEGER NOT NULL DEFAULT 0,
    deleted    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workspace, uuid)
);
CREATE INDEX runs_of_experiment ON runs (experiment);

CREATE TABLE params (
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

CREATE TABLE tags (
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- All points of a metric. The whole point is the key, so a batch that is sent again adds nothing.
-- value has no declared type: a REAL, or the text 'NaN'.
CREATE TABLE metrics (
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    time  INTEGER NOT NULL, -- milliseconds since 1970
    step  INTEGER NOT NULL,
    value NOT NULL,
    PRIMARY KEY (run, key, time, step, value)
) WITHOUT ROWID;

-- The point of a metric with the highest (step, time, value).
CREATE TABLE latest (
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    step  INTEGER NOT NULL,
    time  INTEGER NOT NULL,
    value NOT NULL,
    PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- Datasets that a run read. tags is a JSON object.
CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    experiment INTEGER NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    type       TEXT NOT NULL,
    source     TEXT NOT NULL,
    schema     TEXT NOT NULL,
    profile    TEXT NOT NULL,
    UNIQUE (experiment, name, digest)
);
CREATE TABLE inputs (
    run     INTEGER NOT NULL,
    dataset INTEGER NOT NULL,
    tags    TEXT NOT NULL,
    PRIMARY KEY (run, dataset)
) WITHOUT ROWID;
CREATE INDEX inputs_of_dataset ON inputs (dataset);

-- Logged models that a run read (way 0) or made (way 1).
CREATE TABLE run_models (
    run   INTEGER NOT NULL,
    way   INTEGER NOT NULL,
    model TEXT NOT NULL,
    step  INTEGER NOT NULL,
    PRIMARY KEY (run, way, model, step)
) WITHOUT ROWID;

CREATE TABLE logged_models (
    id         INTEGER PRIMARY KEY,
    workspace  INTEGER NOT NULL,
    experiment INTEGER NOT NULL,
    uuid       TEXT NOT NULL,
    name       TEXT NOT NULL,
    type       TEXT NOT NULL,
    run        TEXT NOT NULL,
    status     TEXT NOT NULL,
    message    TEXT NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    deleted    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workspace, uuid)
);
CREATE INDEX logged_models_of_experiment ON logged_models (experiment, created);

CREATE TABLE logged_model_params (
    model INTEGER NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;

CREATE TABLE logged_model_tags (
    model INTEGER NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;

-- The latest point of each metric of a logged model, by run and dataset that it was measured on.
CREATE TABLE logged_model_metrics (
    model   INTEGER NOT NULL,
    key     TEXT NOT NULL,
    run     TEXT NOT NULL,
    dataset TEXT NOT NULL,
    digest  TEXT NOT NULL,
    step    INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    value   NOT NULL,
    PRIMARY KEY (model, key, run, dataset, digest)
) WITHOUT ROWID;

CREATE TABLE registered_models (
    id          INTEGER PRIMARY KEY,
    workspace   INTEGER NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    last        INTEGER NOT NULL DEFAULT 0, -- highest version ever given; never given twice
    UNIQUE (workspace, name)
);

CREATE TABLE registered_model_tags (
    model INTEGER NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) WITHOUT ROWID;

CREATE TABLE aliases (
    model   INTEGER NOT NULL,
    alias   TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model, alias)
) WITHOUT ROWID;

CREATE TABLE versions (
    model       INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    description TEXT NOT NULL,
    user        TEXT NOT NULL,
    stage       TEXT NOT NULL,
    source      TEXT NOT NULL,
    location    TEXT NOT NULL, -- where the artifacts are, when source names another model
    run         TEXT NOT NULL,
    link        TEXT NOT NULL,
    logged      TEXT NOT NULL, -- the logged model's id
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    PRIMARY KEY (model, version)
) WITHOUT ROWID;

CREATE TABLE version_tags (
    model   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (model, version, key)
) WITHOUT ROWID;

-- Artifacts are names for blobs; the bytes are in the lake, by digest. No row holds a path of a file system.
CREATE TABLE artifacts (
    workspace INTEGER NOT NULL,
    path      TEXT NOT NULL,
    digest    TEXT NOT NULL,
    size      INTEGER NOT NULL,
    modified  INTEGER NOT NULL,
    PRIMARY KEY (workspace, path)
) WITHOUT ROWID;

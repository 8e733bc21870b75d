// SPDX-License-Identifier: Apache-2.0

// Package mlflow is the door that speaks MLflow's REST protocol: tracking, logged models, the model registry and
// artifacts, as the unmodified mlflow client (3.x) calls them.
//
// A client sets MLFLOW_TRACKING_URI=https://host:port/mlflow/<workspace> and MLFLOW_TRACKING_TOKEN. Below that address
// are the routes of mlflow/protos/service.proto, model_registry.proto and mlflow_artifacts.proto, each under
// api/2.0/… and ajax-api/2.0/…. A file of this package holds one resource's routes and messages.
//
// Differences from the original server, on purpose: the user of a run is who the caller proved to be, not what the
// client says; artifacts are kept only here (a location elsewhere is refused); pages have tokens that stay right while
// rows come and go; errors about a deleted experiment answer 400, not 500, so that clients do not retry them.
// Traces, evaluation datasets, scorers, the gateway and webhooks answer 501 NOT_IMPLEMENTED.
package mlflow

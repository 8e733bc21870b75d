// SPDX-License-Identifier: Apache-2.0

// Package inference is the door of one model server: the Open Inference Protocol v2 over REST, with the binary tensor
// extension, for one loaded model.
//
// A request sends either the tensors that the ONNX file declares, exactly, or one tensor of shape [rows] or [rows, 1] for
// each feature, called as the column the model was trained on; the door then puts them where the model wants them.
// Answers are the model's outputs as they are.
//
// The door asks nobody who they are: it listens in the pods' network only, behind the gateway, which does.
package inference

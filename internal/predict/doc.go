// SPDX-License-Identifier: Apache-2.0

// Package predict loads a model in the ONNX format and scores batches of rows with it.
//
// [Open] loads ONNX Runtime, once a process; [Runtime.Load] checks a model file and makes a [Session], which many goroutines
// may use at once; [Session.Run] takes and gives named tensors, as the model server needs; [Session.Bind] reads and writes
// tables instead: it knows how scikit-learn, XGBoost, LightGBM and PyTorch models take their features and give their
// answers, and says what is wrong when a model does it otherwise.
//
// This is the only room that links ONNX Runtime.
package predict

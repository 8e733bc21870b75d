# SPDX-License-Identifier: Apache-2.0
"""Writes the tiny models beside it: one for each way in which a model can be called or be wrong."""
import numpy as np
from onnx import TensorProto as T, helper as h, numpy_helper as n


def save(name, nodes, inputs, outputs, initializers=(), **metadata):
    def info(i):
        return i if not isinstance(i, tuple) else h.make_tensor_value_info(*i)

    graph = h.make_graph(nodes, name, [info(i) for i in inputs], [info(o) for o in outputs], list(initializers))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    h.set_model_props(model, metadata)
    with open(f"{name}.onnx", "wb") as f:
        f.write(model.SerializeToString())


def constant(name, values, dtype=np.float32):
    return n.from_array(np.array(values, dtype), name)


X2 = ("features", T.FLOAT, ["rows", 2])
P2 = ("probabilities", T.FLOAT, ["rows", 2])
weights = [constant("w", [[-1, 1], [-0.5, 0.5]]), constant("b", [0.1, -0.1])]
gemm = h.make_node("Gemm", ["features", "w", "b"], ["z"])
softmax = h.make_node("Softmax", ["z"], ["probabilities"], axis=1)

save("softmax", [gemm, softmax], [X2], [P2], weights)
save("named", [gemm, softmax], [X2], [P2], weights, features='["weight", "age"]')
save("fixed", [gemm, softmax], [("features", T.FLOAT, [2, 2])], [("probabilities", T.FLOAT, [2, 2])], weights)
save("logits", [h.make_node("Gemm", ["features", "w", "b"], ["probabilities"])], [X2], [P2], weights)
save("sigmoid", [h.make_node("Gemm", ["features", "w1"], ["z"]), h.make_node("Sigmoid", ["z"], ["p"])], [X2],
     [("p", T.FLOAT, ["rows", 1])], [constant("w1", [[2], [1]])])
save("nan", [gemm, h.make_node("Mul", ["z", "nan"], ["probabilities"])], [X2], [P2], weights + [constant("nan", np.nan)])
save("constant", [gemm, h.make_node("Mul", ["z", "zero"], ["c"]), h.make_node("Softmax", ["c"], ["probabilities"], axis=1)],
     [X2], [P2], weights + [constant("zero", 0)])
save("one_row", [gemm, h.make_node("ReduceMean", ["z"], ["m"], axes=[0], keepdims=1),
                 h.make_node("Softmax", ["m"], ["probabilities"], axis=1)], [X2], [("probabilities", T.FLOAT, [1, 2])], weights)
save("two_answers", [gemm, h.make_node("Softmax", ["z"], ["first"], axis=1), h.make_node("Softmax", ["z"], ["second"], axis=1)],
     [X2], [("first", T.FLOAT, ["rows", 2]), ("second", T.FLOAT, ["rows", 2])], weights)
save("label_only", [gemm, h.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0)], [X2], [("label", T.INT64, ["rows"])], weights)
save("regression", [h.make_node("Gemm", ["features", "w1"], ["variable"])], [X2], [("variable", T.FLOAT, ["rows", 1])],
     [constant("w1", [[2], [1]])])
# age [rows, 1] of numbers and sex [rows, 1] of texts: p = sigmoid(age + [sex is "f"])
save("columns",
     [h.make_node("LabelEncoder", ["sex"], ["code"], domain="ai.onnx.ml", keys_strings=["f"], values_floats=[1.0], default_float=0.0),
      h.make_node("Add", ["age", "code"], ["z"]), h.make_node("Sigmoid", ["z"], ["p"])],
     [("age", T.FLOAT, ["rows", 1]), ("sex", T.STRING, ["rows", 1])], [("p", T.FLOAT, ["rows", 1])])
save("integer", [h.make_node("Cast", ["age"], ["p"], to=T.FLOAT)], [("age", T.INT64, ["rows", 1])], [("p", T.FLOAT, ["rows", 1])])

every = [T.BOOL, T.UINT8, T.UINT16, T.UINT32, T.UINT64, T.INT8, T.INT16, T.INT32, T.INT64, T.FLOAT16, T.BFLOAT16, T.FLOAT,
         T.DOUBLE, T.STRING]
save("echo", [h.make_node("Identity", [f"in_{t}"], [f"out_{t}"]) for t in every], [(f"in_{t}", t, ["rows", 2]) for t in every],
     [(f"out_{t}", t, ["rows", 2]) for t in every])
save("scalar", [h.make_node("ReduceSum", ["x"], ["total"], keepdims=0)], [("x", T.FLOAT, ["rows"])], [("total", T.FLOAT, [])])
save("gather", [h.make_node("Gather", ["table", "index"], ["row"])], [("index", T.INT64, ["rows"])], [("row", T.FLOAT, ["rows", 2])],
     [constant("table", [[1, 2], [3, 4]])])
save("two_inputs", [h.make_node("Add", ["a", "b"], ["sum"])], [("a", T.FLOAT, ["rows"]), ("b", T.FLOAT, ["rows"])],
     [("sum", T.FLOAT, ["rows"])])
save("sequence", [h.make_node("SplitToSequence", ["x"], ["parts"], axis=0)], [("x", T.FLOAT, ["rows", 2])],
     [h.make_tensor_sequence_value_info("parts", T.FLOAT, None)])
save("endless", [h.make_node("Loop", ["count", "go", "x"], ["y"], body=h.make_graph(
    [h.make_node("Identity", ["go_in"], ["go_out"]), h.make_node("Sin", ["v"], ["v_out"])], "body",
    [h.make_tensor_value_info("i", T.INT64, []), h.make_tensor_value_info("go_in", T.BOOL, []), h.make_tensor_value_info("v", T.FLOAT, None)],
    [h.make_tensor_value_info("go_out", T.BOOL, []), h.make_tensor_value_info("v_out", T.FLOAT, None)]))],
    [("x", T.FLOAT, ["rows"])], [("y", T.FLOAT, ["rows"])], [constant("count", 10**12, np.int64), constant("go", True, bool)])


def outside(name):
    tensor = constant(name, [1, 2])
    tensor.ClearField("raw_data")
    tensor.data_location = T.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/hostname"
    return tensor


save("external", [h.make_node("Add", ["x", "secret"], ["y"])], [("x", T.FLOAT, [2])], [("y", T.FLOAT, [2])], [outside("secret")])
branch = h.make_graph([h.make_node("Constant", [], ["s"], value=outside("nested"))], "then", [], [h.make_tensor_value_info("s", T.FLOAT, [2])])
save("external_nested", [h.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], [("c", T.BOOL, [])], [("y", T.FLOAT, [2])])

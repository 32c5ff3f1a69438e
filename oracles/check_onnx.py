"""Compares ONNX files with what the onnx package reads in them.

    python oracles/check_onnx.py FILE...             prints the counts of each file as JSON
    python oracles/check_onnx.py --copies DIR FILE... checks DIR/<name>, written by Nissl, against
                                                     each FILE: onnx.checker, and graphs that are
                                                     equal node by node and byte by byte

The counts in tests/formats/test_onnx.c come from the first form with onnx 1.23.2.
"""

import argparse
import json
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def counts(path):
    model = onnx.load(path)
    graph = model.graph
    elements = [int(np.prod(t.dims, dtype=np.int64)) for t in graph.initializer]
    total = sum(float(numpy_helper.to_array(t).astype(np.float64).sum()) for t in graph.initializer)
    return {
        "file": os.path.basename(path),
        "ir_version": model.ir_version,
        "opset": next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0),
        "nodes": len(graph.node),
        "initializers": len(graph.initializer),
        "inputs": len(graph.input),
        "outputs": len(graph.output),
        "values": len(graph.value_info),
        "attributes": sum(len(n.attribute) for n in graph.node),
        "elements": sum(elements),
        "sum": total,
    }


def domain(message):
    return "" if message.domain == "ai.onnx" else message.domain


def attribute_value(attribute):
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        array = numpy_helper.to_array(value)
        return (str(array.dtype), array.shape, array.tobytes())
    if isinstance(value, onnx.GraphProto):
        return describe(value)
    if attribute.type in (onnx.AttributeProto.FLOATS, onnx.AttributeProto.INTS):
        return tuple(value)
    return value


def describe_value(value):
    dims = None
    if value.type.HasField("tensor_type"):
        dims = [d.dim_param or (d.dim_value if d.HasField("dim_value") else None)
                for d in value.type.tensor_type.shape.dim]
    return (value.name, value.type.tensor_type.elem_type, dims)


def describe(graph):
    """Everything of a graph that Nissl keeps."""
    return {
        "name": graph.name,
        "nodes": [(n.name, n.op_type, domain(n), list(n.input), list(n.output),
                   [(a.name, a.type, attribute_value(a)) for a in n.attribute])
                  for n in graph.node],
        "initializers": [(t.name, t.data_type, list(t.dims), numpy_helper.to_array(t).tobytes())
                         for t in graph.initializer],
        "inputs": [describe_value(v) for v in graph.input],
        "outputs": [describe_value(v) for v in graph.output],
        "values": [describe_value(v) for v in graph.value_info],
    }


def check_copy(path, copy):
    problems = []
    a, b = onnx.load(path), onnx.load(copy)
    left, right = describe(a.graph), describe(b.graph)
    problems += [f"{key} differ" for key in left if left[key] != right[key]]
    opsets = [[(domain(o), o.version) for o in model.opset_import] for model in (a, b)]
    if opsets[0] != opsets[1]:
        problems.append("opsets differ")
    try:
        onnx.checker.check_model(copy)
    except Exception as error:  # the checker raises several kinds
        try:
            onnx.checker.check_model(path)
            problems.append(f"checker: {error}")
        except Exception:
            print(f"{copy}: the checker refuses the original too")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", help="folder of the files that Nissl wrote")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    failed = 0
    for path in args.files:
        if not args.copies:
            print(json.dumps(counts(path)))
            continue
        problems = check_copy(path, os.path.join(args.copies, os.path.basename(path)))
        failed += bool(problems)
        print(f"{path}: {'; '.join(problems) if problems else 'same'}")
    print(f"onnx {onnx.__version__}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Converts an ONNX file to OpenVINO's two, `.xml` and `.bin`; the network is the same.

python -m components.export.openvino NETWORK.onnx FILE.xml
"""

import sys

import openvino

if __name__ == "__main__":
    network, file = sys.argv[1:]
    # In full precision: the copy is held to the model's own numbers.
    openvino.save_model(openvino.Core().read_model(network), file, compress_to_fp16=False)

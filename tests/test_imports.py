"""The pure cores stay light: importing one starts neither TensorFlow, TFX nor Beam."""

import subprocess
import sys

import pytest

HEAVY = ("apache_beam", "keras", "ml_metadata", "tensorflow", "tfx")

LIGHT = (
    "components.audit.evidence",
    "components.audit.review",
    "components.children",
    "components.errors",
    "components.export.bundle",
    "components.export.convert",
    "components.export.parity",
    "components.features",
    "components.index.settings",
    "components.infra.names",
    "components.ingest.corrections",
    "components.ingest.labels",
    "components.inspect.inspection",
    "components.ingest.outsiders",
    "components.ingest.picture",
    "components.ingest.records",
    "components.ingest.catalogue",
    "components.ingest.source",
    "components.ingest.split",
    "components.ingest.table",
    "components.networks.profiles",
    "components.outside.assessment",
    "components.outside.score",
    "components.outside.thresholds",
    "components.progress",
    "components.reading",
    "components.publish.store",
    "components.settings",
    "components.transform.taxonomy",
    "components.validate.gate",
    "pipeline.advice",
    "pipeline.cli",
    "pipeline.doctor",
    "pipeline.draft",
    "pipeline.experiment",
    "pipeline.runs",
    "pipeline.stages",
    "pipeline.kubeflow.cluster",
    "pipeline.kubeflow.compiler",
    "pipeline.metadata",
    "pipeline.monitor.feedback",
    "pipeline.monitor.verdict",
    "pipeline.node",
    "pipeline.kubeflow.packing",
    "pipeline.paths",
    "pipeline.recipe",
    "pipeline.releasing",
    "pipeline.run",
    "pipeline.verdict",
    "pipeline.kubeflow.vertex",
    "pipeline.view",
    "fashion_client",
    "fashion_client.answer_log",
    "fashion_client.local",
    "serving.config_file",
    "serving.releases",
    "serving.search.colour",
    "serving.search.indexes",
    "serving.search.query",
)

PROBE = "import sys, importlib; importlib.import_module(sys.argv[1]); print(*sorted({*sys.argv[2:]} & {*sys.modules}))"


@pytest.mark.parametrize("module", LIGHT)
def test_module_imports_nothing_heavy(module: str) -> None:
    run = subprocess.run([sys.executable, "-c", PROBE, module, *HEAVY], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []

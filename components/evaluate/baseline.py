"""Which model a new one is compared with."""

import logging
import os
from collections.abc import Mapping

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.components.evaluator import constants
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.dsl.io import fileio
from tfx.types import Artifact

from components.ingest.members import MEMBERS_FILE, open_members, tested_and_trained_on

# An InfraBlessing says which model it is about in the words of a ModelBlessing; TFX's own says nothing of it.
MODEL_ID, BLESSED = constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, constants.ARTIFACT_PROPERTY_BLESSED_KEY

_OUTPUTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)


class LatestOtherBlessedModel(LatestBlessedModelStrategy):
    """The latest model that was fit to be published, but for the candidate itself.

    Its evaluation has approved it, and a server could serve it. The candidate may be found approved by an earlier run:
    compared with itself it loses nothing, and the evaluation could not be taken from the cache. Passed over as well are
    models whose files somebody removed, and those that know what is tested on now: no honest candidate could beat them.
    """

    def __init__(self, most: float) -> None:
        """Sets the share of the test split that a baseline may have been trained on."""
        self._most = most

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]] | None:
        """Finds the baseline.

        Args:
            store: tells what a model was trained on.
            input_dict: `model`, `model_blessing`, `infra_blessing` and `quarantine`, all there are; `candidate`, the
                model to be compared; `members`, the quarantine beside the examples that it is tested on.

        Returns:
            `model`, `model_blessing` and `infra_blessing` with one artifact each, or empty where there is none; the
            others as given.
        """
        candidates = {candidate.id for candidate in input_dict["candidate"]}
        servable = {
            blessing.get_int_custom_property(MODEL_ID): blessing
            for blessing in input_dict["infra_blessing"]
            if blessing.get_int_custom_property(BLESSED)
        }
        others = [m for m in input_dict["model"] if m.id in servable.keys() - candidates and fileio.exists(m.uri)]
        while True:
            blessings = input_dict["model_blessing"]
            baseline = super().resolve_artifacts(store, {"model": others, "model_blessing": blessings}) or {}
            [model] = baseline.get("model") or [None]
            if model is None or self._is_fair(store, model, input_dict):
                break
            others.remove(model)
        return {**input_dict, **baseline, "infra_blessing": [servable[model.id]] if model else []}

    def _is_fair(self, store: mlmd.MetadataStore, model: Artifact, input_dict: dict[str, list[Artifact]]) -> bool:
        [ours] = input_dict["members"]
        theirs = _ingest_of(store, model.id, {quarantine.id: quarantine.uri for quarantine in input_dict["quarantine"]})
        if theirs == ours.uri:
            return True
        files = [os.path.join(folder or "", MEMBERS_FILE) for folder in (ours.uri, theirs)]
        if not all(map(fileio.exists, files)):
            logging.warning("%s cannot be the baseline: nothing tells which products it was trained on.", model.uri)
            return False
        overlap, tested = tested_and_trained_on(*map(open_members, files))
        if overlap > self._most * tested:
            logging.warning(
                "%s cannot be the baseline: it was trained on %s of the %s products that are tested on now, or on "
                "pictures like theirs.", model.uri, f"{overlap:,}", f"{tested:,}",
            )  # fmt: skip
        return overlap <= self._most * tested


def _ingest_of(store: mlmd.MetadataStore, model: int, folders: Mapping[int, str]) -> str | None:
    """The folder, of those of all quarantines, that was made with the examples that a model comes from."""
    ahead, visited = [model], {model}
    while ahead:
        makers = [event.execution_id for event in store.get_events_by_artifact_ids(ahead) if event.type in _OUTPUTS]
        events = store.get_events_by_execution_ids(makers) if makers else []
        quarantines = {event.artifact_id for event in events if event.type in _OUTPUTS} & folders.keys()
        if quarantines:
            return folders[max(quarantines)]
        ahead = list({event.artifact_id for event in events if event.type not in _OUTPUTS} - visited)
        visited.update(ahead)
    return None

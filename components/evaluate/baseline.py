"""Which model a new one is compared with."""

import ml_metadata as mlmd
from tfx.components.evaluator import constants
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.dsl.io import fileio
from tfx.types import Artifact

# An InfraBlessing says which model it is about in the words of a ModelBlessing; TFX's own says nothing of it.
MODEL_ID, BLESSED = constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, constants.ARTIFACT_PROPERTY_BLESSED_KEY


class LatestOtherBlessedModel(LatestBlessedModelStrategy):
    """The latest model that was fit to be published, but for the candidate itself.

    Its evaluation has approved it, and a server could serve it. The candidate may be found approved by an earlier run:
    compared with itself it loses nothing, and the evaluation could not be taken from the cache. Models whose files
    somebody removed are passed over as well.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]] | None:
        """Finds the baseline.

        Args:
            store: unused.
            input_dict: `model`, `model_blessing` and `infra_blessing`, all there are; `candidate`, the model to be
                compared.

        Returns:
            `model`, `model_blessing` and `infra_blessing` with one artifact each, or empty where there is none;
            `candidate`, as given.
        """
        candidates = input_dict["candidate"]
        judged = {candidate.id for candidate in candidates}
        servable = {
            blessing.get_int_custom_property(MODEL_ID): blessing
            for blessing in input_dict["infra_blessing"]
            if blessing.get_int_custom_property(BLESSED)
        }
        others = {
            "model": [m for m in input_dict["model"] if m.id in servable.keys() - judged and fileio.exists(m.uri)],
            "model_blessing": input_dict["model_blessing"],
        }
        found = super().resolve_artifacts(store, others) or {}
        infra = [servable[model.id] for model in found.get("model", ())]
        return {**found, "infra_blessing": infra, "candidate": candidates}

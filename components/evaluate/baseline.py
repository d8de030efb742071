"""Which model a new one is compared with."""

import ml_metadata as mlmd
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.types import Artifact


class LatestOtherBlessedModel(tfx.dsl.experimental.LatestBlessedModelStrategy):
    """The latest blessed model but for the candidate itself, which a second run would find blessed by the first.

    Compared with itself it loses nothing, and the evaluation could not be taken from the cache. Models whose files
    somebody removed are passed over as well.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]] | None:
        """Finds the baseline.

        Args:
            store: unused.
            input_dict: `model` and `model_blessing`, all there are; `candidate`, the model to be compared.

        Returns:
            `model` and `model_blessing` with one artifact each, or empty where there is none; `candidate`, as given.
        """
        candidates = input_dict["candidate"]
        judged = {candidate.id for candidate in candidates}
        others = {
            "model": [m for m in input_dict["model"] if m.id not in judged and fileio.exists(m.uri)],
            "model_blessing": input_dict["model_blessing"],
        }
        return {**super().resolve_artifacts(store, others), "candidate": candidates}

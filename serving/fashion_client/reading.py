"""From what a copy's file gives to what the model's own signature answers: labels, tags and decisions."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fashion_client.decisions import Thresholds
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float32]]

TOP = 5


@dataclass(frozen=True)
class Reading:
    """How the numbers are read."""

    labels: Sequence[str]  # the k class names, in the order of the probabilities
    decide: Mapping[str, Any] | None  # content of the model's `decide.json`; None of a model that does not decide
    tags: Sequence[Mapping[str, Any]]  # content of its `tags.json`

    def outputs(self, answer: Arrays, errors: Sequence[str]) -> dict[str, list[Any]]:
        """Returns output name to n rows, as `serving.signatures` has them.

        Args:
            answer: of n pictures; see `fashion_client.local.Bundle.answer`.
            errors: why a picture has no answer, "" if it has; n of them.
        """
        probabilities = answer["probabilities"]
        order = np.argsort(-probabilities, axis=1, kind="stable")
        scores = np.take_along_axis(probabilities, order[:, :TOP], axis=1)
        outputs: dict[str, list[Any]] = {
            "label": [self.labels[row[0]] for row in order],
            "confidence": scores[:, 0].tolist(),
            "top_labels": [[self.labels[place] for place in row[:TOP]] for row in order],
            "top_scores": scores.tolist(),
            "embedding": [array("f", row.tobytes()) for row in answer["embedding"]],
            **self._tagged(answer, order[:, 0]),
        }
        if self.decide is not None:
            outputs |= self._decided(self.decide, answer, order, outputs)
        texts = (name for name in outputs if name.endswith(("label", "decision", "label_set")))
        fine = {
            name: ["" if error else text for text, error in zip(outputs[name], errors, strict=True)] for name in texts
        }
        return {**outputs, **fine, "error": list(errors)}

    def _tagged(self, answer: Arrays, main: NDArray[np.intp]) -> dict[str, list[Any]]:
        chosen, outputs = [main], {}
        for tag in self.tags:
            probabilities = answer[f"{tag['column']}_probabilities"]
            if tag["allowed"] is not None:
                probabilities = probabilities * np.array(tag["allowed"], np.float32)[chosen[tag["finer"]]]
            chosen.append(probabilities.argmax(axis=1))
            outputs[f"{tag['column']}_label"] = [tag["labels"][place] for place in chosen[-1]]
            outputs[f"{tag['column']}_confidence"] = probabilities.max(axis=1).tolist()
        return outputs

    def _decided(
        self, decide: Mapping[str, Any], answer: Arrays, order: NDArray[np.intp], outputs: Mapping[str, list[Any]]
    ) -> dict[str, list[Any]]:
        foreign = answer["outside"][:, 0].tolist()

        def decisions(confidences: Sequence[float], least: float) -> list[str]:
            limits = Thresholds(decide["outside"], decide["clear"], least)
            return [limits.decide(*pair) for pair in zip(foreign, confidences, strict=True)]

        tags = {
            f"{name}_decision": decisions(outputs[f"{name}_confidence"], least)
            for name, least in decide.get("tags", {}).items()
        }
        sets = []
        for row, places in zip(answer["probabilities"], order, strict=True):
            members = [place for place in places if place == places[0] or row[place] >= decide["sets"][place]]
            sets.append("\n".join(self.labels[place] for place in members))
        decision = decisions(outputs["confidence"], decide["confidence"])
        return {"outside": foreign, "decision": decision, "label_set": sets, **tags}

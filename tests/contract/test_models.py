"""Which model answers: names, versions and labels, what can be learnt of them, and what is refused."""

import pytest

from tests.contract.asking import Asking, Refused, Which

pytestmark = pytest.mark.slow

NO_VERSION = 9_999_999_999_999
BAD = {"INVALID_ARGUMENT"}


def available(ask: Asking) -> list[int]:
    return [version for version, state in ask.statuses().items() if state == "AVAILABLE"]


def test_status_lists_each_version_with_its_state(ask: Asking):
    statuses = ask.statuses()
    assert "AVAILABLE" in statuses.values()
    for version, state in statuses.items():
        assert ask.statuses(Which(version=version)) == {version: state}


def test_metadata_tell_the_signatures_that_clients_use(ask: Asking):
    signatures = ask.signatures()
    answer = {"label", "confidence", "probabilities", "top_labels", "top_scores", "error"}
    assert signatures["serving_default"] == ({"image_bytes"}, answer)
    assert signatures["examples"] == ({"examples"}, answer)
    assert signatures["embed"] == ({"image_bytes"}, {"embedding", "error"})
    assert ask.signatures(Which(version=max(available(ask)))) == signatures


def test_latest_version_answers_who_asks_for_none(ask: Asking, pictures):
    unasked = ask.predict({"image_bytes": pictures[:1]})
    newest = ask.predict({"image_bytes": pictures[:1]}, Which(version=max(available(ask))))
    assert unasked["probabilities"] == pytest.approx(newest["probabilities"], abs=1e-5)


def test_every_available_version_answers_who_asks_for_it(grpc, pictures):
    for version in available(grpc):
        request = grpc.request({"image_bytes": pictures[:1]}, Which(version=version))
        assert grpc.call(request).model_spec.version.value == version


def test_label_leads_to_its_version(ask: Asking, endpoint, pictures):
    if not endpoint.label:
        pytest.skip("FASHION_ENDPOINT names no label")
    labelled = ask.predict({"image_bytes": pictures[:1]}, Which(label=endpoint.label))
    answers = [ask.predict({"image_bytes": pictures[:1]}, Which(version=version)) for version in available(ask)]
    assert any(labelled["probabilities"] == pytest.approx(a["probabilities"], abs=1e-5) for a in answers)


PREDICT_FAULTS = {
    "unknown model": (Which(model="nobody"), {"NOT_FOUND"}, "nobody"),
    "unknown version": (Which(version=NO_VERSION), {"NOT_FOUND"}, str(NO_VERSION)),
    "unknown label": (Which(label="nowhere"), BAD, "Unrecognized servable version label: nowhere"),
    "unknown signature": (Which(signature="paint"), BAD | {"FAILED_PRECONDITION"}, "paint"),
}


@pytest.mark.parametrize(("which", "codes", "said"), PREDICT_FAULTS.values(), ids=PREDICT_FAULTS)
def test_predict_of_what_is_not_there_is_refused(ask: Asking, pictures, which, codes, said):
    with pytest.raises(Refused, match=said) as refused:
        ask.predict({"image_bytes": pictures[:1]}, which)
    assert refused.value.codes & codes


@pytest.mark.parametrize("question", ["statuses", "signatures"])
@pytest.mark.parametrize("which", [Which(model="nobody"), Which(version=NO_VERSION)], ids=["model", "version"])
def test_question_about_what_is_not_there_is_refused(ask: Asking, question, which):
    with pytest.raises(Refused) as refused:
        getattr(ask, question)(which)
    assert refused.value.codes == {"NOT_FOUND"}


def test_unknown_input_is_refused(ask: Asking, pictures):
    with pytest.raises(Refused) as refused:
        ask.predict({"pixels": pictures[:1]})
    assert "INVALID_ARGUMENT" in refused.value.codes
    assert "image_bytes" in refused.value.message

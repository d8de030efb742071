"""The benchmarks: each can be asked for help, and what they compute from their measurements is right."""

import importlib
import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import (
    catalogues,
    fixed_costs,
    ingest,
    label_noise,
    learning_curve,
    measure,
    pareto,
    scale,
    serving,
    stages,
    time_to_accuracy,
    training,
)
from benchmarks.measure import Cost
from benchmarks.notebook import Outcome
from benchmarks.pareto import Choice
from components.ingest.catalogue import open_catalogue

BENCHMARKS = (
    "classes", "export", "fixed_costs", "fuzz", "gates", "ingest", "label_audit", "label_noise", "learning_curve",
    "monitoring", "pareto", "scale", "search", "serving", "time_to_accuracy", "training",
)  # fmt: skip
OF_A_RUN = ("label_audit", "label_noise", "monitoring")  # they judge what a run has left, in minutes
GB = 10**9


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of 12 products, of which 5 were drawn."""
    monkeypatch.setattr(catalogues, "_DRAWN", 5)
    return catalogues.drawn(tmp_path / "drawn.zip", 12)


def test_no_figure_of_a_table_is_cut_off_in_a_narrow_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    columns = [f"the figure number {number}" for number in range(7)]
    measure.show("title", columns, [["98.8 %"] * 7])
    shown = capsys.readouterr().out
    assert all(column in shown for column in columns)
    assert shown.count("98.8 %") == 7


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_asks(name: str, capsys, monkeypatch) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert (module.__doc__ or "").partition("\n")[0] in shown
    assert ("--quick" in shown) is (name not in OF_A_RUN)


def test_cases_take_turns_and_another_begins_each_round() -> None:
    order: list[str] = []
    numbers = iter(range(9))

    def case(name: str):
        return lambda: (order.append(name), next(numbers))[1]

    results = measure.take_turns({name: case(name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"
    assert results == {"a": [0, 5, 7], "b": [1, 3, 8], "c": [2, 4, 6]}


def test_median_cost_is_the_middle_time_and_the_largest_memory() -> None:
    assert measure.median_cost([Cost(9.0, 1), Cost(1.0, 5), Cost(2.0, 3)]) == Cost(2.0, 5)


def test_ratio_is_to_the_base_and_missing_where_there_is_none() -> None:
    assert measure.ratio(3.0, 2.0) == "1.50 ×"
    assert measure.ratio(3.0, 0.0) == "–"


def test_peak_memory_forgets_what_was_before_the_reset() -> None:
    size = 100_000_000
    taken = np.ones(size, np.uint8)
    before = measure.peak_memory()
    del taken
    measure.reset_peak()
    assert measure.peak_memory() < before - size // 2


def test_function_runs_in_a_process_of_its_own() -> None:
    assert measure.apart(os.getpid) != os.getpid()


def test_what_a_user_can_fix_ends_a_benchmark_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match=r"^error: no/such\.zip: "):
        measure.apart(open_catalogue, "no/such.zip")


def test_a_wrong_setting_ends_a_benchmark_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match=r"^error: six_class\.yaml: picture\.sise: unknown key"):
        stages.recipe_of("six_class", "picture.sise=96")


def test_rare_classes_of_a_recipe_do_not_end_a_benchmark() -> None:
    asked = stages.recipe_of("sub_category").validation
    assert (asked.quarantine, asked.scarce) == (1.0, "note")


def test_time_outside_epochs_counts_before_the_first() -> None:
    assert stages.with_clock(10.0, [(1.0, 0.5), (2.0, 0.75)]) == [(8.0, 0.5), (10.0, 0.75)]


def test_time_to_accuracy_is_that_of_the_first_epoch_that_reaches_it() -> None:
    epochs = [(1.0, 0.5), (2.0, 0.9), (3.0, 0.8), (4.0, 0.95)]
    assert time_to_accuracy.seconds_to(0.9, epochs) == 2.0
    assert time_to_accuracy.seconds_to(0.99, epochs) == float("inf")


def test_all_sides_are_timed_to_an_accuracy_that_all_reach_and_to_their_ends() -> None:
    notebook = Outcome(Cost(90.0, 3 * GB), 80.0, [(40.0, 0.7), (80.0, 0.9)], accuracy=0.91)
    cached = Outcome(Cost(20.0, 3 * GB), 10.0, [(6.0, 0.8), (10.0, 0.92)], accuracy=0.92)
    ours = stages.Training(Cost(8.0, GB), [(4.0, 0.9), (8.0, 0.95)], 0.95, 0.94, 0.9)
    rows = time_to_accuracy.rows_of([notebook], [cached], [ours], [(0.93, Cost(30.0, 2 * GB))])
    to_accuracy = ["training to 90.0 % on the eval split", "80.0 s", "10.0 s", "4.0 s", "20.00 ×", "2.50 ×", "≥ 10 ×"]
    assert rows[0] == to_accuracy
    assert rows[1] == ["training to its end", "80.0 s", "10.0 s", "8.0 s", "10.00 ×", "1.25 ×", ""]
    assert rows[3] == ["whole", "90.0 s", "20.0 s", "30.0 s", "3.00 ×", "0.67 ×", "≥ 3 ×"]
    assert rows[4][1:4] == ["91.0 %", "92.0 %", "93.0 %"]


def test_several_rounds_show_what_their_median_lies_between() -> None:
    slow, fast = (Outcome(Cost(s, GB), s, [(s, 0.9)], accuracy=0.9) for s in (30.0, 10.0))
    ours = stages.Training(Cost(8.0, GB), [(8.0, 0.9)], 0.9, 0.9, 0.9)
    rows = time_to_accuracy.rows_of([slow, fast], [fast, fast], [ours, ours], [(0.9, Cost(30.0, GB))] * 2)
    assert rows[0][1:4] == ["20.0 s (10.0 s – 30.0 s)", "10.0 s (10.0 s – 10.0 s)", "8.0 s (8.0 s – 8.0 s)"]


def test_every_round_has_a_seed_of_its_own() -> None:
    case = time_to_accuracy._with_seeds(lambda seed: seed)
    assert [case(), case(), case()] == [1, 2, 3]


@pytest.mark.slow
def test_features_cached_once_give_the_notebooks_network_the_same_answers() -> None:
    import tensorflow as tf

    from benchmarks import notebook
    from components.networks.settings import Model

    model = Model.model_validate({"backbone": "efficientnet_lite0", "weights": "none"})
    network, trunk, head = notebook._network(3, 32, model)
    pictures = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype(np.float32)
    features = notebook._features(trunk, tf.data.Dataset.from_tensor_slices((pictures, np.arange(5) % 3)))
    given, labels = next(iter(features.batch(5)))
    assert labels.numpy().tolist() == [0, 1, 2, 0, 1]
    np.testing.assert_allclose(head(given), network(pictures, training=False), atol=1e-5)


def test_the_bare_loop_of_ingest_does_no_work_that_the_product_does_not(drawn: Path, monkeypatch) -> None:
    import tensorflow as tf

    resizes = []
    real = tf.image.resize
    monkeypatch.setattr(tf.image, "resize", lambda *args, **more: (resizes.append(more), real(*args, **more))[1])
    monkeypatch.setattr(tf.io, "encode_jpeg", lambda *_, **__: pytest.fail("ingest keeps small pictures as they are"))
    ingest.bare_loop(drawn, resize=True, eighth=False)
    assert resizes == [{}]  # no antialias: `serving.decode` has none where a picture grows


@pytest.mark.parametrize(("kind", "least", "most"), [("1.5 kB", 1, 3), ("60 kB", 50, 70), ("400 kB", 350, 450)])
def test_pictures_asked_of_the_server_have_the_size_that_the_table_says(kind: str, least: int, most: int) -> None:
    assert 1000 * least < len(serving.drawn(0, kind)) < 1000 * most


def test_the_table_of_the_servers_says_which_network_answered(tmp_path: Path) -> None:
    assert serving.network_of(tmp_path) == tmp_path.name
    (tmp_path / "assets.extra").mkdir()
    text = "name: six_class\nmodel: {backbone: efficientnet_b0}\npicture: {size: 160}\n"
    (tmp_path / "assets.extra" / "recipe.yaml").write_text(text)
    assert serving.network_of(tmp_path) == "six_class, efficientnet_b0 at 160 px"


def test_medians_of_several_trainings_are_taken_each_by_itself() -> None:
    runs = [stages.Training(Cost(s, s), [(s, 0.5)], s / 100, (9 - s) / 100, 0.1) for s in (1, 5, 3)]
    assert stages.median_training(runs) == stages.Training(Cost(3, 5), [(1, 0.5)], 0.03, 0.06, 0.1)


def test_front_holds_what_nothing_beats() -> None:
    fast, slow, worse, twin = (Choice(96, depth, 1, 0) for depth in ("block7", "block6", "block5", "block4"))
    points = {fast: (1.0, 0.8), slow: (5.0, 0.9), worse: (6.0, 0.9), twin: (5.0, 0.9)}
    assert pareto.front(points) == {fast, slow, twin}


def test_own_settings_of_a_recipe_are_always_tried() -> None:
    shipped = pareto.own_choice(stages.recipe_of("quickstart"))
    tried = pareto.choices_of([96], ["none", "block6"], [1], [0, 4], shipped)
    others = [Choice(96, "none", 1, 0), Choice(96, "block6", 1, 0), Choice(96, "block6", 1, 4)]
    assert sorted(tried) == sorted([shipped, *others])
    assert [pareto.own_choice(stages.recipe_of("quickstart", *pareto.overrides_of(each))) for each in tried] == tried


def test_growth_compares_the_largest_catalogue_with_the_second() -> None:
    taken = {1000: {"ingest": Cost(9.0, GB)}, 4000: {"ingest": Cost(8.0, GB)}, 8000: {"ingest": Cost(24.0, 2 * GB)}}
    cells = ["9.00 s, 1.00 GB", "2.00 s, 1.00 GB", "3.00 s, 2.00 GB"]
    assert scale.rows_of(taken) == [["ingest", *cells, "1.50 ×", "2.00 ×"]]


def test_what_no_stage_took_is_shown_too() -> None:
    first = fixed_costs.with_rest({"ingest": 4.0, "train": 16.0}, 40.0)
    again = fixed_costs.with_rest({"ingest": 1.0, "train": 1.0}, 10.0)
    rows = {row[0]: row[1:] for row in fixed_costs.rows_of({"import tensorflow": 8.0}, first, again)}
    assert rows["import tensorflow"][:2] == ["8.0", "0.20 ×"]
    assert rows["train"][:5] == ["16.0", "0.40 ×", "", "1.0", "0.06 ×"]
    assert rows["outside the stages"][:4] == ["20.0", "0.50 ×", "", "8.0"]


def test_share_of_the_input_is_the_time_it_takes_alone() -> None:
    rates = {"features": 200.0, "head": 9000.0, "full": 50.0, "input alone": 2000.0}
    shares = {row[2]: row[4:] for row in training.rows_of("network", 96, rates)}
    assert shares["features"] == ["4.00 ×", "10.0 %", "≤ 5 %"]
    assert shares["full"] == ["1.00 ×", "2.5 %", "≤ 5 %"]
    assert shares["head"][1] == shares["input alone"][1] == "–"


def test_comment_changes_the_bytes_of_a_picture_and_no_pixel() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 8), "red").save(stream, "JPEG")
    picture = stream.getvalue()
    changed = catalogues.with_comment(picture, b"other")
    assert changed != picture
    assert Image.open(io.BytesIO(changed)).tobytes() == Image.open(io.BytesIO(picture)).tobytes()


def test_pictures_used_again_are_other_bytes(drawn: Path) -> None:
    pictures = list(catalogues.pictures_of(drawn))
    assert catalogues.rows_of(drawn) == 12
    assert len(set(pictures)) == len(pictures) > 5


def test_part_of_a_catalogue_is_spread_over_it(drawn: Path, tmp_path: Path) -> None:
    part = catalogues.part_of(drawn, tmp_path / "part.zip", 4)
    whole = list(catalogues.pictures_of(drawn))
    places = [whole.index(picture) for picture in catalogues.pictures_of(part)]
    assert catalogues.rows_of(part) == 4
    assert min(later - earlier for earlier, later in pairwise(places)) > 1


def test_part_of_a_small_catalogue_is_all_of_it(drawn: Path, tmp_path: Path) -> None:
    assert catalogues.rows_of(catalogues.part_of(drawn, tmp_path / "part.zip", 100)) == 12


def test_smaller_shares_of_the_training_pictures_are_within_larger_ones(tmp_path: Path) -> None:
    import tensorflow as tf

    gzip = tf.io.TFRecordOptions(compression_type="GZIP")
    for split, count in (("train", 200), ("eval", 10)):
        (tmp_path / f"Split-{split}").mkdir()
        with tf.io.TFRecordWriter(str(tmp_path / f"Split-{split}" / "a.gz"), gzip) as writer:
            for number in range(count):
                writer.write(f"{split} {number}")

    def records(folder: Path, split: str) -> set[bytes]:
        files = [str(file) for file in (folder / f"Split-{split}").iterdir()]
        return set(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())

    kept = {share: learning_curve.thin(tmp_path, tmp_path / f"{share}", share) for share in (0.25, 0.5, 1.0)}
    parts = [records(tmp_path / f"{share}", "train") for share in kept]
    assert [len(part) for part in parts] == list(kept.values())
    assert parts[0] < parts[1] < parts[2] == records(tmp_path, "train")
    assert 30 < kept[0.25] < 70 < kept[0.5] < 130
    assert all(records(tmp_path / f"{share}", "eval") == records(tmp_path, "eval") for share in kept)


def test_learning_curve_compares_the_errors_of_each_share_with_those_of_all() -> None:
    half, whole = (stages.Training(Cost(60.0, GB), [], accuracy, 0.7, 0.6) for accuracy in (0.8, 0.9))
    rows = learning_curve.rows_of({0.5: half, 1: whole}, {0.5: 1000, 1: 2000})
    assert rows == [["50.0 %", "1,000", "60", "80.0 %", "2.00 ×"], ["100.0 %", "2,000", "60", "90.0 %", "1.00 ×"]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Lotto Women Virtue Pink Sandal", {"Sandals"}),
        ("Gini and Jony Girl's T-Shirts", {"Tshirts"}),
        ("Nike Casual Running Shoes", set()),
        ("Clarks Men Casual Shoe", {"Casual Shoes"}),
        ("Aneri Kurta and Dress", {"Kurtas", "Dresses"}),
        ("Flats", {"Flats"}),
    ],
)
def test_name_says_the_classes_whose_words_stand_in_it(name: str, said: set[str]) -> None:
    classes = ("Sandals", "Tshirts", "Shirts", "Casual Shoes", "Kurtas", "Dresses", "Flats")
    assert label_noise.said_in(name, {each: label_noise.words_of(each) for each in classes}) == said


def test_labels_are_held_against_names_and_mistakes() -> None:
    flats, heels = "Flats", "Heels"
    products = [
        label_noise.Named(flats, (), False, flats),
        label_noise.Named(flats, (heels,), False, heels),
        label_noise.Named(flats, (), True, heels),
        label_noise.Named(heels, (), False, heels),
    ]
    assert label_noise.rows_of(products) == [
        ["all", "4", "3", "1", "33.3 %", "", "2", "1"],
        [flats, "3", "2", "1", "50.0 %", "Heels (1)", "2", "1"],
    ]


def test_label_noise_reads_a_catalogue_and_a_report(tmp_path: Path) -> None:
    from components.report.predictions import Predictions

    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    named = {"1": (flats := "Flats", "Red Flats"), "2": (flats, "Red Heels"), "3": (heels := "Heels", "Red Shoe")}
    described = "Women,Footwear,Shoes,{},Red,Fall,2011,Casual,{}"
    lines = [f"{product},{described.format(*texts)}" for product, texts in named.items()]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").touch()
    (tmp_path / "styles.csv").write_text("\n".join([header, *lines]))
    recipe = stages.recipe_of("article_type", "labels.top=2")
    (tmp_path / "recipe.yaml").write_text(recipe.as_yaml())
    answers = np.eye(2, dtype=np.float32)[[0, 1, 1]]
    Predictions(np.array([*named]), answers, np.zeros((3, 1), np.float32)).save(tmp_path / "predictions.npz")
    assert label_noise.named_products(tmp_path, tmp_path) == [
        label_noise.Named(flats, (), False, flats),
        label_noise.Named(flats, (heels,), False, heels),
        label_noise.Named(heels, (), True, heels),
    ]

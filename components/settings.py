"""What each stage can be told: the parts of a recipe, as frozen models that refuse unknown keys and wrong values.

They stand with the components that take them; `pipeline/recipe.py` puts them together and reads them from YAML.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from components.networks.profiles import PROFILES

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]

SPLITS = ("train", "eval", "test")


class Settings(BaseModel):
    """Base of all parts: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Labels(Settings):
    """Which class a product belongs to: by the rules of a taxonomy, or by the value of a column."""

    taxonomy: str | None = Field(default=None, description="name of a file in schema/taxonomies, or a path to one")
    column: Literal["masterCategory", "subCategory", "articleType"] | None = Field(
        default=None, description="in place of a taxonomy: its values in the catalogue are the classes"
    )
    top: Count | None = Field(default=None, description="only the classes with most rows, this many")
    minimum: Count = Field(default=1, description="only classes with at least this many rows")
    merge: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default={}, description="a class, and the values that are all called so"
    )
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="values that are of no class"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Labels":
        if bool(self.taxonomy) == bool(self.column):
            raise ValueError("give either taxonomy or column")
        if self.taxonomy and (self.top or self.minimum > 1 or self.merge or self.ignore):
            raise ValueError("top, minimum, merge and ignore go with column; in a taxonomy the rules say such things")
        merged = [value for values in self.merge.values() for value in values]
        for value in {value for value in merged if merged.count(value) > 1 or value in self.ignore}:
            raise ValueError(f"{value!r} is merged twice, or merged and ignored; name it once")
        return self


class Split(Settings):
    """How products are divided: by the hash of their id, in these proportions; those with the same picture together.

    The same picture is one that looks the same: its copies saved anew, or a little smaller, go where it goes.

    Where `by` is given, `test` is what the data set was published with to test on, and where it is year, all products
    of odd years, whatever its proportion. The rest, products without a year among it, is divided into train and eval.
    """

    by: Literal["picture", "given", "year"] = "picture"
    together: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="columns: products with the same value are variants of one, and stay together"
    )
    train: Count = 80
    eval: Count = 10
    test: Count = 10

    def shares(self) -> dict[str, int]:
        """Split name to weight, in the fixed order of `SPLITS`."""
        return {name: getattr(self, name) for name in SPLITS}


class Picture(Settings):
    """What pictures are accepted, how they are kept, and the size the network sees."""

    size: Annotated[int, Field(ge=16, le=1024, description="side of the network's square input, pixels")] = 160
    # JPEGs are decoded at an eighth of their size for a fraction of the work: 2,400 px need no resizing then.
    stored_side: Annotated[int, Field(ge=16, le=4096, description="longest side kept at ingest, pixels")] = 300
    min_side: Annotated[int, Field(ge=1, description="a shorter side than this is refused, pixels")] = 16
    max_pixels: Annotated[int, Field(ge=1, description="a larger picture is refused undecoded")] = 40_000_000

    @model_validator(mode="after")
    def _stored_covers_size(self) -> "Picture":
        if self.stored_side < self.size:
            raise ValueError(
                f"stored_side {self.stored_side} is below size {self.size}: pictures would be enlarged again"
            )
        return self


class Balance(Settings):
    """How many training examples a class may and must have; evaluation keeps the natural distribution."""

    cap: Count | None = Field(default=None, description="at most this many of a class")
    oversample: Count | None = Field(default=None, description="classes below this many are repeated up to it")

    @model_validator(mode="after")
    def _ordered(self) -> "Balance":
        if self.cap and self.oversample and self.oversample > self.cap:
            raise ValueError(f"oversample {self.oversample} is above cap {self.cap}")
        return self


class Validation(Settings):
    """When the data is refused before anything is trained."""

    quarantine: Share = Field(
        default=0.01, description="largest share of rows that may be quarantined, those outside the classes aside"
    )
    class_quarantine: Share = Field(
        default=0.05, description="largest share of a class's pictures that may be, beyond what chance brings in a few"
    )
    unmapped: Share = Field(default=0.5, description="largest share of rows that may be outside the classes")
    unmapped_rise: Share = Field(
        default=0.1, description="how much larger that share may be than in the last run whose data were fit"
    )
    seen: Share = Field(
        default=0.01, description="largest share of the test split that a start or a baseline may have been trained on"
    )
    class_minimum: Count = Field(default=10, description="fewest pictures of a class in the train split")
    scarce: Literal["refuse", "note"] = Field(
        default="refuse", description="what of a class that has too few pictures to train on, or none in some split"
    )
    schema_file: Annotated[str, Field(min_length=1)] = Field(
        default="schema", description="name of a reviewed schema in schema/, or a path to a .pbtxt file"
    )


Weights = Annotated[
    str,
    Field(
        min_length=1,
        description="imagenet, efficientnet_lite0, none, a weights file, or the folder of a published model",
    ),
]
Schedule = Literal["constant", "cosine", "plateau"]
Backbone = Literal[
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2m", "nasnet_large", "resnet18", "resnet50", "xception",
    "inception_v3", "densenet201", "vit_tiny", "cnn", "resnet_small",
]  # fmt: skip


class Model(Settings):
    """The network."""

    backbone: Backbone = "efficientnet_b0"
    weights: Weights = "imagenet"
    front: Literal["none", "edgenet"] = Field(default="none", description="what stands before the backbone")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    test_time_flip: bool = Field(
        default=False, description="answers are the mean over a picture and its mirror image, for twice the work"
    )

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.weights in ("imagenet", "efficientnet_lite0") and not PROFILES[self.backbone].starts:
            raise ValueError(f"there are no pretrained weights for {self.backbone}; set weights to none")
        return self


class Augment(Settings):
    """Random changes to training pictures."""

    flip: bool = True
    rotation: Annotated[float, Field(ge=0, le=180, description="degrees either way")] = 20.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1
    erase: Share = Field(default=0.0, description="share of pictures in which a rectangle is erased")
    mixup: Share = Field(default=0.0, description="alpha: how much pictures are mixed, in fine-tuning; 0 is not at all")


class Stage(Settings):
    """What both stages of training have."""

    epochs: Count
    learning_rate: Rate
    schedule: Schedule
    warmup: Annotated[int, Field(ge=0, description="epochs of a linear rise before cosine decay")] = 0
    patience: Count

    @model_validator(mode="after")
    def _warms_up_to_something(self) -> Self:
        if self.warmup and self.schedule != "cosine":
            raise ValueError(f"warmup goes with schedule cosine, not with {self.schedule}")
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup {self.warmup} leaves nothing of {self.epochs} epochs")
        return self


class Head(Stage):
    """Stage 1: the head alone, on features of the frozen trunk that are computed once."""

    epochs: Count = 100
    learning_rate: Rate = 1e-3
    schedule: Schedule = "plateau"
    patience: Count = 10
    views: Annotated[int, Field(ge=1, le=64, description="augmented views of each picture; the first is plain")] = 4


class Finetune(Stage):
    """Stage 2: the trunk from one part upwards, and the head."""

    epochs: Count = 8
    learning_rate: Rate = 1e-4
    schedule: Schedule = "cosine"
    patience: Count = 4
    unfreeze_from: Annotated[
        str, Field(description="lowest part trained, e.g. stem for all, block6, conv4; or `last N` for N layers")
    ] = "block6"
    views: Annotated[
        int | None,
        Field(ge=1, le=64, description="as for the head: what is frozen is run once for each view, not in each epoch"),
    ] = None
    batch_norm: Literal["auto", "train", "frozen"] = Field(
        default="auto", description="auto trains it where weights are none and there is no head stage"
    )


class Train(Settings):
    """How the network is fitted."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1  # as numpy takes them
    batch_size: Count = 32
    shuffle_buffer: Count = Field(
        default=8192, description="encoded pictures, a few kB each, that fine-tuning shuffles among one another"
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: Annotated[float, Field(ge=0, description="how much less an easy example counts, with focal")] = 2.0
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: a class counts the more, the fewer training examples it has"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    prior: Share = Field(
        default=0.0,
        description="how far answers lean back from the balanced frequencies to the catalogue's own; 1 is fully",
    )
    ema: Annotated[float, Field(ge=0, lt=1, description="momentum of the weights' moving average; 0 is none")] = 0.99
    calibrate: bool = Field(
        default=True, description="scale confidences on the eval split until they are as high as they are right"
    )
    strategy: Literal["auto", "none", "mirrored", "tpu", "multi_worker"] = "auto"
    mixed_precision: Literal["auto", "off"] = "auto"
    augment: Augment = Augment()
    head: Head | None = Head()
    finetune: Finetune | None = Finetune()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.head is None and self.finetune is None:
            raise ValueError("head and finetune are both empty: nothing would be trained; give at least one")
        if self.prior and self.class_weights == "balanced":
            raise ValueError(
                "prior leans back to the catalogue's frequencies, class_weights: balanced away from them; choose one"
            )
        if self.augment.mixup and self.finetune is None:
            raise ValueError("augment.mixup mixes pictures in fine-tuning, and finetune is empty; set it to 0")
        if self.augment.mixup and self.finetune and self.finetune.views:
            raise ValueError("augment.mixup mixes pictures anew in every epoch, and with finetune.views they are run "
                             "once; leave one of them out")  # fmt: skip
        return self


class Gate(Settings):
    """What a model must reach on the test split to be published; where it says nothing, anything will do."""

    accuracy: Share = Field(default=0.97, description="overall, at least")
    recall: Share = Field(default=0.95, description="of every class, at least")
    precision: Share = Field(default=0.0, description="of every class, at least")
    regression: Share = Field(default=0.005, description="largest loss of accuracy against the blessed baseline")
    class_regression: Share = Field(default=0.03, description="largest loss of a class's recall against the baseline")
    significance: Rate = Field(
        default=0.05, description="a class is refused where chance alone would do as badly this rarely, or more so"
    )
    false_refusals: Rate = Field(
        default=0.02, description="share of comparisons in which a model as good as the baseline may be refused"
    )
    macro_f1: Share | None = Field(default=None, description="mean over the classes, at least")
    macro_auprc: Share | None = Field(default=None, description="mean over the classes, at least")
    ece: Share | None = Field(default=None, description="expected calibration error, at most")
    support: Count | None = Field(
        default=None, description="classes with fewer test examples are judged together, by recall; none is every class"
    )


def _image(text: str) -> str:
    if not re.fullmatch(r"[^\s@]+?(:[\w.-]+|@sha256:[0-9a-f]{64})", text):
        raise ValueError(f"{text!r} is no image of one version; write it with a tag, e.g. tensorflow/serving:2.19.1")
    return text


class Serving(Settings):
    """The server that a model has to be served by before it is published, and what it is asked."""

    runner: Literal["local", "docker", "kubernetes"] = Field(
        default="local", description="the local server, or TensorFlow Serving's image in a container"
    )
    image: Annotated[str, AfterValidator(_image)] = "tensorflow/serving:2.19.1"
    examples: Annotated[
        int, Field(ge=1, le=1024, description="pictures of the test split whose answers have to reach gate.accuracy")
    ] = 128
    batch: Annotated[
        int,
        Field(ge=1, le=256, description="rows that models come warmed up for; at most the servers' max_batch_size"),
    ] = 32
    timeout: Count = Field(default=300, description="until the model is loaded, seconds")
    decode_bytes: Count = Field(
        default=100_000_000, description="the published model refuses a picture that takes more memory to decode"
    )


class Publish(Settings):
    """Where an approved model goes."""

    keep: Count = Field(default=5, description="newest versions kept; older ones go, unless labelled or loaded")


class Drift(Settings):
    """How far a new catalogue may move from what the model was trained on before `fashion retrain` trains again."""

    labels: Share = Field(default=0.05, description="largest change of a class's share of the products")
    columns: dict[str, Share] = Field(
        default={}, description="largest Jensen-Shannon divergence of a column, in place of the schema's comparator"
    )
    chance: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.002, description="how often labels, or a column, may count as moved though only chance moved them"
    )


def _plain_text(value: Any) -> Any:
    """YAML reads `cpu: 2` as a number, and Kubernetes takes either."""
    return str(value) if type(value) in (int, float) else value


def _cpu(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?|\d+m", text) or not text.strip("0.m"):
        raise ValueError(f"{text!r} is no amount of CPU; write it as Kubernetes does, e.g. 2, 0.5 or 500m")
    return text


def _memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*([EPTGM]i?|Ki?)?", text):
        raise ValueError(f"{text!r} is no amount of memory; write it as Kubernetes does, e.g. 8G, 16Gi or 512Mi")
    return text


Cpu = Annotated[str, BeforeValidator(_plain_text), AfterValidator(_cpu)]
Memory = Annotated[str, BeforeValidator(_plain_text), AfterValidator(_memory)]


class Accelerator(Settings):
    """A device of the cluster's, by the name of its Kubernetes resource."""

    type: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[a-z0-9.-]+$", description="nvidia.com/gpu, google.com/tpu …")]
    count: Count = 1


class Toleration(Settings):
    """A taint that a node's task may be scheduled in spite of; the fields are those of Kubernetes."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Resources(Settings):
    """What the task of a node asks of a cluster; what nobody says is left to the cluster."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    node_selector: dict[str, str] | None = Field(default=None, description="labels of the machines it may run on")
    tolerations: Annotated[tuple[Toleration, ...] | None, Field(strict=False)] = None
    retries: Annotated[int | None, Field(ge=0, description="how often a failed task is tried again")] = None


class NodeResources(Resources):
    """What one node asks for in place of the default, or beyond it."""

    accelerator: Accelerator | None = None


class Kubeflow(Settings):
    """What the tasks of a run ask of a cluster. Changes no result, and is used by `fashion compile` alone."""

    default: Resources = Resources(cpu="2", memory="8G", retries=2)
    nodes: dict[str, NodeResources] = Field(default={}, description="by the name of a stage, e.g. train")

    def of(self, node: str) -> NodeResources:
        """What a node asks for: its own settings, and the default's where it has none."""
        given = {name: value for name, value in self.nodes.get(node, NodeResources()) if value is not None}
        return NodeResources.model_construct(**{**dict(self.default), **given})

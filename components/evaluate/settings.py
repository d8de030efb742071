"""What a model must reach."""

from pydantic import Field

from components.settings import Count, Rate, Settings, Share


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
    accepted_accuracy: Share | None = Field(default=None, description="among the answers that it accepts, at least")
    accepted: Share | None = Field(default=None, description="share of the answers that it accepts, at least")
    outsiders: Share | None = Field(
        default=None, description="share of pictures of no class that it accepts, of kinds it has seen, at most"
    )
    unseen_outsiders: Share | None = Field(default=None, description="likewise, of kinds it has never seen")
    coverage: Share | None = Field(default=None, description="how often the true class is in the label set, at least")
    support: Count | None = Field(
        default=None, description="classes with fewer test examples are judged together, by recall; none is every class"
    )

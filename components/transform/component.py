"""The stage that gives examples their labels, and how often they are used: the stock Transform."""

import json
from collections.abc import Sequence

from tfx.components import Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types import BaseChannel

from components.digest import code_digest
from components.outside.settings import Outside
from components.settings import with_outside
from components.transform.settings import Balance
from components.transform.taxonomy import Taxonomy

_CORE = "components.transform.preprocessing"


def transform_node(
    examples: BaseChannel,
    schema: BaseChannel,
    taxonomy: Taxonomy,
    tags: Sequence[Taxonomy],
    balance: Balance,
    outside: Outside | None,
    text: str | None = None,
) -> BaseNode:
    """Makes the graph's node `transform`; what is tested on is not, because the published model does that itself.

    `taxonomy` assigns the labels, `tags` those of further columns. `balance`, caps and repetitions, is analysed on
    `train` alone; `outside` says which products of no class there are besides. The column `text` passes as it is.
    """
    splits = with_outside("train", "eval", outside=outside is not None)
    return Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=f"{_CORE}.preprocessing_fn",
        custom_config={
            "taxonomy": taxonomy.as_json(),
            "tags": json.dumps([tag.model_dump(mode="json") for tag in tags]),
            "balance": balance.model_dump_json(),
            "kind": outside.kind if outside else "",
            "text": text or "",
            "code": code_digest(_CORE),
        },
        splits_config=SplitsConfig(analyze=["train"], transform=splits),
        disable_statistics=True,
    ).with_id("transform")

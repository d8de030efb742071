"""Where the boxes and wires of a lineage are drawn.

Layers by the longest way from a source, ordered by the mean place of their neighbours: Sugiyama, Tagawa & Toda 1981,
Methods for Visual Understanding of Hierarchical System Structures, https://doi.org/10.1109/TSMC.1981.4308636. A stage
and what it made are one box, which halves the depth of the graph.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from components.report.facts import Lineage, LineageNode

_WIDTH, _HEAD, _LINE, _PAD = 168, 30, 19, 8
_BETWEEN, _BELOW, _BEND = 26, 44, 14  # gaps in a layer and between layers; room of a wire that passes a layer
_SWEEPS = 12

Edges = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Box:
    """A stage with what it made, or something that no stage of the run made; `x`, `y` is the upper left corner."""

    id: str
    stage: bool
    title: str
    artifacts: tuple[LineageNode, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Wire:
    """That one box took something of another; `path` is an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Drawing:
    """A whole lineage."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def draw(lineage: Lineage) -> Drawing:
    """Lays a lineage out from top to bottom; edges that close a circle, as a resolver's do, are drawn all the same."""
    contents, edges = _grouped(lineage)
    layer = _layers(contents, edges)
    chains = {edge: _chain(edge, layer) for edge in sorted(edges)}
    rows = _ordered(_rows(contents, chains, layer), chains)
    widths = defaultdict(lambda: float(_BEND), {box: float(_WIDTH) for box in contents})
    middle = _placed(rows, chains, widths)
    heights = {box: float(_HEAD + _PAD + _LINE * len(of[1])) for box, of in contents.items()}
    deep = [max((heights.get(node, 0.0) for node in row), default=0.0) for row in rows]
    top = [1 + sum(deep[:number]) + _BELOW * number for number in range(len(rows))]
    height = 1 + sum(deep) + _BELOW * len(rows)
    left = min((middle[node] - widths[node] / 2 for row in rows for node in row), default=0.0) - 1
    boxes = tuple(
        Box(box, node.kind == "stage", node.label, artifacts, middle[box] - _WIDTH / 2 - left, top[layer[box]],
            _WIDTH, heights[box])
        for box, (node, artifacts) in contents.items()
    )  # fmt: skip
    wires = tuple(
        Wire(*edge, _path([(middle[node] - left, top[row], heights.get(node, deep[row])) for node, row in chain]))
        for edge, chain in chains.items()
    )
    width = max((box.x + box.width for box in boxes), default=0.0)
    bends = max((middle[node] + _BEND - left for row in rows for node in row if node not in contents), default=0.0)
    return Drawing(max(width, bends) + 1, height - _BELOW + 1, boxes, wires)


def _grouped(lineage: Lineage) -> tuple[dict[str, tuple[LineageNode, tuple[LineageNode, ...]]], Edges]:
    """The boxes with what lies in them, and which took something of which.

    An artifact lies in the first stage that made it and did not take it too, or is a box of its own. A resolver, which
    gives what was made elsewhere, is drawn as one who took it.
    """
    nodes = {node.id: node for node in lineage.nodes}
    edges = [(a, b) for a, b in lineage.edges if a in nodes and b in nodes]
    both, home = set(edges), {node: node for node in nodes}
    place = {node: i for i, node in enumerate(nodes)}
    for source, target in sorted(edges, key=lambda edge: place[edge[0]]):
        if nodes[source].kind == "stage" and (target, source) not in both and home[target] == target:
            home[target] = source
    inside: dict[str, list[LineageNode]] = defaultdict(list)
    for node in nodes.values():
        if home[node.id] != node.id:
            inside[home[node.id]].append(node)
    contents = {node.id: (node, tuple(inside[node.id])) for node in nodes.values() if home[node.id] == node.id}
    to_stages = [(b, a) if nodes[a].kind == "stage" else (a, b) for a, b in edges]
    return contents, frozenset((home[a], b) for a, b in to_stages if home[a] != b)


def _layers(boxes: Iterable[str], edges: Edges) -> dict[str, int]:
    before: dict[str, set[str]] = defaultdict(set)
    for source, target in edges:
        before[target].add(source)
    layer: dict[str, int] = {}

    def depth(box: str, above: frozenset[str]) -> int:
        if box not in layer:
            sources = before[box] - above
            layer[box] = 1 + max((depth(source, above | {box}) for source in sorted(sources)), default=-1)
        return layer[box]

    for box in boxes:
        depth(box, frozenset({box}))
    return layer


def _chain(edge: tuple[str, str], layer: Mapping[str, int]) -> list[tuple[str, int]]:
    source, target = edge
    step = 1 if layer[target] >= layer[source] else -1
    between = range(layer[source] + step, layer[target], step)
    return [(source, layer[source]), *((f"{source}>{target}@{row}", row) for row in between), (target, layer[target])]


def _rows(
    boxes: Iterable[str], chains: Mapping[tuple[str, str], Sequence[tuple[str, int]]], layer: Mapping[str, int]
) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(1 + max(layer.values(), default=-1))]
    for box in boxes:
        rows[layer[box]].append(box)
    for chain in chains.values():
        for node, row in chain[1:-1]:
            rows[row].append(node)
    return rows


def _neighbours(chains: Mapping[tuple[str, str], Sequence[tuple[str, int]]]) -> dict[str, list[str]]:
    beside: dict[str, list[str]] = defaultdict(list)
    for chain in chains.values():
        for (one, _), (other, _) in pairwise(chain):
            beside[one].append(other)
            beside[other].append(one)
    return beside


def _ordered(rows: list[list[str]], chains: Mapping[tuple[str, str], Sequence[tuple[str, int]]]) -> list[list[str]]:
    beside = _neighbours(chains)
    for sweep in range(_SWEEPS):
        place = {node: i - len(row) / 2 for row in rows for i, node in enumerate(row)}
        down = sweep % 2 == 0
        for number in range(len(rows)) if down else reversed(range(len(rows))):
            fixed = set(
                rows[number - 1] if down and number else rows[number + 1] if not down and number + 1 < len(rows) else ()
            )
            rows[number].sort(key=lambda node: _mean([place[of] for of in beside[node] if of in fixed], place[node]))
            place.update({node: i - len(rows[number]) / 2 for i, node in enumerate(rows[number])})
    return rows


def _placed(
    rows: list[list[str]],
    chains: Mapping[tuple[str, str], Sequence[tuple[str, int]]],
    widths: Mapping[str, float],
) -> dict[str, float]:
    beside, middle = _neighbours(chains), {}
    for row in rows:
        x = -sum(widths[node] + _BETWEEN for node in row) / 2
        for node in row:
            middle[node] = x + widths[node] / 2
            x += widths[node] + _BETWEEN
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([middle[of] for of in beside[node]], middle[node]) for node in row]
            middle.update(zip(row, _apart(wanted, [widths[node] for node in row]), strict=True))
    return middle


def _apart(wanted: list[float], widths: list[float]) -> list[float]:
    """The nearest places to those wanted, in their order, that do not overlap: half pushed right, half left."""
    right, left = list(wanted), list(wanted)
    for i in range(1, len(wanted)):
        right[i] = max(right[i], right[i - 1] + (widths[i - 1] + widths[i]) / 2 + _BETWEEN)
    for i in reversed(range(len(wanted) - 1)):
        left[i] = min(left[i], left[i + 1] - (widths[i] + widths[i + 1]) / 2 - _BETWEEN)
    return [(a + b) / 2 for a, b in zip(right, left, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _path(points: Sequence[tuple[float, float, float]]) -> str:
    """Down through (x, y, height of what lies there): bent between the rows and straight beside their boxes."""
    (x, y, height), *rest = points
    path, y = f"M{x:.0f} {y + height:.0f}", y + height
    for number, (to_x, to_y, deep) in enumerate(rest, 1):
        half = (y + to_y) / 2
        path += f"C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
        x, y = to_x, to_y
        if number < len(rest):
            y += deep
            path += f"V{y:.0f}"
    return path

"""PyTorch checkpoints are read without PyTorch, and nothing in them is run."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.errors import WeightsError
from components.networks.weights.torch_checkpoint import read_torch_checkpoint

PROTO, STOP, MARK = b"\x80\x02", b".", b"("
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
NUMBERS = {"0": np.arange(24, dtype="<f4"), "1": np.array([1.5, -2.0], "<f2"), "2": np.array([7], "<i8")}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def many(*values: int) -> bytes:
    return MARK + b"".join(map(whole, values)) + b"t"


def storage(key: str, kind: str, count: int) -> bytes:
    """The opcodes that refer to numbers outside the pickle."""
    return MARK + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + whole(count) + b"tQ"


def tensor(numbers: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """The opcodes that torch.save writes for a tensor."""
    call = b"ctorch._utils\n_rebuild_tensor_v2\n" + MARK + numbers + whole(offset) + many(*shape) + many(*strides)
    return call + b"\x89" + ORDERED_DICT + b"tR"


def state(**entries: bytes) -> bytes:
    items = b"".join(text(name) + value for name, value in entries.items())
    return PROTO + ORDERED_DICT + MARK + items + b"u" + STOP


FLOATS = storage("0", "FloatStorage", 24)
GOOD = state(
    plain=tensor(FLOATS, 0, (2, 3, 4), (12, 4, 1)),
    turned=tensor(FLOATS, 4, (4, 2), (1, 12)),
    half=tensor(storage("1", "HalfStorage", 2), 0, (2,), (1,)),
    scalar=tensor(storage("2", "LongStorage", 1), 0, (), ()),
    empty=tensor(FLOATS, 0, (0, 3), (3, 1)),
)
ONE = state(w=tensor(FLOATS, 0, (24,), (1,)))


def write_zip(path: Path, pickled: bytes, *, order: bytes = b"little", compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", order)
        for key, numbers in NUMBERS.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())


def write_legacy(path: Path, pickled: bytes, *, little: bool = True, protocol: int = 1001) -> None:
    used = [key for key in NUMBERS if text("storage") in pickled and text(key) + text("cpu") in pickled]
    header = [0x1950A86A20F9469CFC6C, protocol, {"little_endian": little}]
    blocks = [struct.pack("<q", NUMBERS[key].size) + NUMBERS[key].tobytes() for key in used]
    keys = pickle.dumps(used, 2)
    path.write_bytes(b"".join(pickle.dumps(value, 2) for value in header) + pickled + keys + b"".join(blocks))


FORMATS = pytest.mark.parametrize("write", [write_zip, write_legacy])


@FORMATS
def test_both_formats_give_every_view_of_the_stored_numbers(tmp_path, write):
    write(tmp_path / "model.pth", GOOD)
    arrays = read_torch_checkpoint(tmp_path / "model.pth")
    assert list(arrays) == ["plain", "turned", "half", "scalar", "empty"]
    cube = np.arange(24, dtype="f4").reshape(2, 3, 4)
    np.testing.assert_array_equal(arrays["plain"], cube)
    np.testing.assert_array_equal(arrays["turned"], cube[:, 1, :].T)
    np.testing.assert_array_equal(arrays["half"], np.array([1.5, -2.0], "f2"))
    assert (arrays["scalar"].shape, arrays["scalar"].dtype, int(arrays["scalar"])) == ((), np.int64, 7)
    assert arrays["empty"].shape == (0, 3)


@FORMATS
def test_state_dict_that_is_the_only_entry_of_another_is_found(tmp_path, write):
    write(
        tmp_path / "model.pth", PROTO + b"}" + text("model") + ONE.removeprefix(PROTO).removesuffix(STOP) + b"s" + STOP
    )
    assert list(read_torch_checkpoint(tmp_path / "model.pth")) == ["w"]


@FORMATS
@pytest.mark.parametrize(
    "named", [b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nload\n", b"cnumpy\nload\n", b"ccollections\nCounter\n"]
)
def test_other_names_are_refused_and_never_run(tmp_path, write, named):
    proof = tmp_path / "run"
    write(tmp_path / "model.pth", state(w=named + MARK + text(f"touch {proof}") + b"tR"))
    with pytest.raises(WeightsError, match="which is not part of a tensor"):
        read_torch_checkpoint(tmp_path / "model.pth")
    assert not proof.exists()


@FORMATS
@pytest.mark.parametrize(
    ("pickled", "answer"),
    [
        (state(w=tensor(FLOATS, 1, (24,), (1,))), "w reaches beyond its storage"),
        (state(w=tensor(FLOATS, 0, (2, 24), (12, 1))), "w reaches beyond its storage"),
        (state(w=tensor(FLOATS, 0, (30000, 30000), (0, 0))), "w reaches beyond its storage"),
        (state(w=tensor(FLOATS, -4, (4,), (1,))), "w has no valid shape"),
        (state(w=tensor(FLOATS, 23, (24,), (-1,))), "w has no valid shape"),
        (state(w=tensor(FLOATS, 0, (4,), (1, 1))), "w has no valid shape"),
        (state(w=tensor(text("0"), 0, (4,), (1,))), "w has no valid shape"),
        (state(w=tensor(storage("0", "FloatStorage", 23), 0, (4,), (1,))), "storage 0"),
        (state(w=tensor(storage("0", "FloatStorage", -1), 0, (4,), (1,))), "storage in an unknown way"),
        (state(w=tensor(storage("0", "QInt8Storage", 24), 0, (4,), (1,))), "names torch.QInt8Storage"),
        (state(w=tensor(storage("9", "FloatStorage", 24), 0, (4,), (1,))), "readable"),
        (state(a=tensor(FLOATS, 0, (1,), (1,)), b=tensor(storage("0", "IntStorage", 24), 0, (1,), (1,))), "two ways"),
        (state(model=ORDERED_DICT), "it holds no tensors by name"),
        (state(epoch=whole(3)), "'epoch' is not a tensor by name"),
        (PROTO + ORDERED_DICT + STOP, "holds no tensors by name"),
        (PROTO + whole(3) + STOP, "holds no tensors by name"),
        (PROTO + b"\x96" + struct.pack("<Q", 2**40) + STOP, "readable"),
        (PROTO + b"]r\xff\xff\xff\xff" + STOP, "more values than it has bytes"),
        (PROTO + b"ccollections\nOrderedDict\n)\x81" + STOP, "opcode NEWOBJ"),
    ],
)
def test_impossible_tensor_is_refused(tmp_path, write, pickled, answer):
    write(tmp_path / "model.pth", pickled)
    with pytest.raises(WeightsError, match=answer) as refusal:
        read_torch_checkpoint(tmp_path / "model.pth")
    assert "model.pth" in str(refusal.value)
    assert "torch.save(model.state_dict(), …)" in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda file: None, "No such file"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: file.write_bytes(b""), "readable"),
        (lambda file: file.write_text("<html>404</html>"), "readable"),
        (lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64)), "readable"),
        (lambda file: file.write_bytes(pickle.dumps({"w": 1}, 2)), "does not begin like one"),
        (lambda file: write_legacy(file, ONE, protocol=1002), "does not begin like one"),
        (lambda file: write_legacy(file, ONE, little=False), "big-endian"),
        (lambda file: write_zip(file, ONE, order=b"big"), "big-endian"),
        (lambda file: write_zip(file, ONE, compression=zipfile.ZIP_DEFLATED), "storage 0 is compressed"),
        (lambda file: zipfile.ZipFile(file, "w").writestr("styles.csv", "id"), "readable"),
    ],
)
def test_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, make, answer):
    file = tmp_path / "weights.pth"
    make(file)
    with pytest.raises(WeightsError, match=answer) as refusal:
        read_torch_checkpoint(file)
    assert str(file) in str(refusal.value)


@FORMATS
def test_checkpoint_cut_anywhere_is_refused(tmp_path, write):
    file = tmp_path / "model.pth"
    write(file, ONE)
    complete = file.read_bytes()
    for size in (*range(0, len(complete), 7), len(complete) - 1):
        file.write_bytes(complete[:size])
        with pytest.raises(WeightsError):
            read_torch_checkpoint(file)


@FORMATS
def test_damaged_checkpoint_is_refused_or_read_but_never_an_accident(tmp_path, write):
    file = tmp_path / "model.pth"
    write(file, GOOD)
    complete, random, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(250):
        damaged = bytearray(complete)
        damaged[random.integers(len(damaged))] = random.integers(256)
        file.write_bytes(damaged)
        try:
            read_torch_checkpoint(file)
        except WeightsError:
            refused += 1
    assert refused > 100

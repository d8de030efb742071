"""Counts what a serialized message holds before it is parsed: two bytes of it can become a hundred in memory."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from serving.server.limits import Limits

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
# Numbers that stand one after the other in one field, and take a varying number of bytes each.
_PACKED = {
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
}


def check_message(data: bytes, descriptor: Any, limits: Limits) -> None:
    """Lets a message as it was sent pass, or refuses it; one that cannot be read is left to the parser.

    Of the limits, `strings` is for all that stands in a field of its own, `values` for numbers that share one.

    Raises:
        ServingError: INVALID_ARGUMENT, it holds too much.
    """
    fields = values = 0
    view = memoryview(data)
    waiting = [(view, descriptor)]
    while waiting:
        part, kind = waiting.pop()
        at = 0
        while at < len(part):
            fields += 1
            tag, at = _varint(part, at)
            field, size = kind.fields_by_number.get(tag >> 3), 0
            if tag & 7 == _BYTES:
                size, at = _varint(part, at)
            elif tag & 7 == _VARINT:
                _, at = _varint(part, at)
            else:
                size = _WIDTHS.get(tag & 7, 0)
            if field is not None and tag & 7 == _BYTES:
                if field.message_type:
                    waiting.append((part[at : at + size], field.message_type))
                elif field.type in _PACKED:
                    values += size
            limits.check_values(values, fields)
            at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128 or shift > 63:
            break
    return value, at

"""The slices of a series in the order of the body, of which nothing but number, position and orientation is read."""

from collections.abc import Sequence

import numpy as np

from cnnClassifier.archives import Member
from cnnClassifier.dicom import is_dicom
from cnnClassifier.dicom.elements import Element, find_elements
from cnnClassifier.errors import ImageError

NUMBER, POSITION, ORIENTATION = 0x00200013, 0x00200032, 0x00200037
SAME = 1e-2  # by which the directions of parallel slices may differ


def order_slices(members: Sequence[Member]) -> list[Member]:
    """A series from feet to head, else by instance number, else as it came; what is no DICOM file follows."""
    places = [_place(member) for member in members]
    slices = [index for index, place in enumerate(places) if place is not None]
    others = [member for member, place in zip(members, places, strict=True) if place is None]
    found = [place for place in places if place is not None]
    keys = _heights(found) or _numbers(found) or list(range(len(found)))
    order = sorted(range(len(found)), key=lambda index: keys[index])
    return [members[slices[index]] for index in order] + others


def _place(member: Member) -> dict[int, list[float]] | None:
    """Instance number, position and orientation of a DICOM file, as far as it has them; None for others."""
    if member.data is None or not is_dicom(member.data):
        return None
    try:
        elements = find_elements(member.data, (NUMBER, POSITION, ORIENTATION)).elements
    except ImageError:
        return None
    numbers = {tag: _decimals(element) for tag, element in elements.items()}
    return {
        tag: values for tag, values in numbers.items() if len(values) == {NUMBER: 1, POSITION: 3, ORIENTATION: 6}[tag]
    }


def _heights(places: list[dict[int, list[float]]]) -> list[float] | None:
    """How far each slice lies along the direction that all are stacked in; None unless there is one."""
    if not all(POSITION in place and ORIENTATION in place for place in places):
        return None
    directions = np.array([place[ORIENTATION] for place in places]).reshape(-1, 2, 3)
    if not len(directions) or np.abs(directions - directions[0]).max() > SAME:
        return None
    normal = np.cross(directions[0, 0], directions[0, 1])
    return [float(np.dot(normal, place[POSITION])) for place in places]


def _numbers(places: list[dict[int, list[float]]]) -> list[float] | None:
    return [place[NUMBER][0] for place in places] if all(NUMBER in place for place in places) else None


def _decimals(element: Element) -> list[float]:
    try:
        values = [float(part) for part in bytes(element.value[:256]).decode("latin-1").strip("\0 ").split("\\")]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []

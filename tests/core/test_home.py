"""Whether a root was moved, put back or copied is judged by where it was."""

import pytest

from orchestrator.core.home import Arrival, Home, arrival

BEFORE = Home("/a", 7, "h")


@pytest.mark.parametrize(
    ("here", "there", "came"),
    [
        (Home("/a", 7, "h"), False, Arrival.SAME),
        (Home("/a", 7, "another name"), False, Arrival.SAME),
        (Home("/b", 7, "h"), False, Arrival.MOVED),
        (Home("/b", 9, "h"), False, Arrival.MOVED),
        (Home("/a", 9, "h"), False, Arrival.RESTORED),
        (Home("/b", 9, "h"), True, Arrival.COPIED),
        (Home("/b", 7, "h"), True, Arrival.COPIED),
        (Home("/a", 9, "other"), False, Arrival.COPIED),
        (Home("/b", 9, "other"), False, Arrival.COPIED),
    ],
)
def test_how_a_root_came(here: Home, there: bool, came: Arrival) -> None:
    assert arrival(BEFORE, here, original_there=there) is came
    assert arrival(None, here, original_there=there) is Arrival.SAME

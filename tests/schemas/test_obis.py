import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.obis import Obis

OCTETS = st.binary(min_size=6, max_size=6)


@given(OCTETS)
def test_bytes_and_text_round_trip(octets: bytes) -> None:
    code = Obis.from_bytes(octets)
    assert bytes(code) == octets
    assert Obis.parse(str(code)) == code


def test_the_usual_notation_is_read() -> None:
    assert Obis.parse("1-0:1.8.0*255") == Obis(1, 0, 1, 8, 0, 255)


@pytest.mark.parametrize(
    "text", ["", "1.0.1.8.0", "1.0.1.8.0.256", "a.b.c.d.e.f", "1.0.1.8.0.255.1"]
)
def test_other_text_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not an OBIS code"):
        Obis.parse(text)

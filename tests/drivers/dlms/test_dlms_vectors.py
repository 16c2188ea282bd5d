"""Cryptography against published examples, OpenSSL's other interface, and gurux-dlms."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from gurux_dlms.AesGcmParameter import AesGcmParameter
from gurux_dlms.ecdsa import GXEcdsa, GXPrivateKey, GXPublicKey
from gurux_dlms.enums import Security
from gurux_dlms.GXDLMSChippering import GXDLMSChippering
from gurux_dlms.objects.enums import SecuritySuite
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.dlms import axdr, elliptic
from drivers.dlms.ciphering import AUTHENTICATED, BOTH, ENCRYPTED, KEY_SIZES, Keys
from drivers.dlms.elliptic import PrivateKey, PublicKey
from drivers.dlms.general import Envelope, KeyInfo, KeyKind
from drivers.errors import LocalProtocolError, RemoteProtocolError

# Green Book, ed. 8.3, annex C.2: One-Pass Diffie-Hellman in suite 1, from client to server.
CLIENT, SERVER = bytes.fromhex("4D4D4D0000BC614E"), bytes.fromhex("4D4D4D0000000001")
EPHEMERAL = bytes.fromhex("47DAB03842E5B6E74828EF4F449B378D7DD1A5DAE1FFCA5AE0B0BE0AD18EC57E")
EPHEMERAL_PUBLIC = bytes.fromhex(
    "C323C2BD45711DE4688637D919F92E9DB8FB2DFC213A88D21C9DC8DCBA917D81"
    "70511DE1BADB360D50058F794B0960AE11FA28D392CFF907A62D13E3357B1DC0"
)
SERVER_PUBLIC = bytes.fromhex(
    "A653565B0E06070BAE9FBE140A5D2156812AEE2DD525053E3EFC850BF13BFDFF"
    "CB240BC7B77BFF5883344E7275908D2287BEFA3725017295A096989D2338290B"
)
SECRET = bytes.fromhex("0D4385BA0DD756CBCAB9887EB538396EE8F090A14C1079B4359F115B977F4615")
SECRET_BACK = bytes.fromhex("2B4302DC49790E2E78D990CFB52ED6E2F273DECE441A2D95E4301B93812A9FAC")

OCTETS = st.binary(min_size=1, max_size=80)
TITLE = st.binary(min_size=8, max_size=8)
COUNTER = st.integers(0, 2**32 - 1)


@st.composite
def key_sets(draw: st.DrawFn) -> tuple[int, bytes, bytes]:
    suite = draw(st.sampled_from(sorted(KEY_SIZES)))
    key = st.binary(min_size=KEY_SIZES[suite], max_size=KEY_SIZES[suite])
    return suite, draw(key), draw(key)


@given(key_sets(), OCTETS, TITLE, COUNTER, st.sampled_from([AUTHENTICATED, ENCRYPTED, BOTH]))
def test_every_suite_and_protection_is_what_openssl_makes_step_by_step(
    made: tuple[int, bytes, bytes], plain: bytes, title: bytes, counter: int, control: int
) -> None:
    suite, encryption, authentication = made
    keys = Keys(encryption, authentication, suite=suite)
    text = keys.protect(plain, title, counter, control, b"more")
    nonce = title + counter.to_bytes(4)
    encryptor = Cipher(algorithms.AES(encryption), modes.GCM(nonce)).encryptor()
    associated = bytes((control | suite,)) + authentication + b"more"
    if control == AUTHENTICATED:
        encryptor.authenticate_additional_data(associated + plain)
        body = plain + encryptor.finalize()
    else:
        if control & AUTHENTICATED:
            encryptor.authenticate_additional_data(associated)
        body = encryptor.update(plain) + encryptor.finalize()
    tag = encryptor.tag[:12] if control & AUTHENTICATED else b""
    assert text == bytes((control | suite,)) + counter.to_bytes(4) + body + tag
    assert keys.unprotect(text, title, b"more")[0] == plain


@given(key_sets(), OCTETS, TITLE, COUNTER, st.sampled_from([AUTHENTICATED, ENCRYPTED, BOTH]))
@settings(max_examples=40)
def test_every_suite_and_protection_is_what_gurux_makes(
    made: tuple[int, bytes, bytes], plain: bytes, title: bytes, counter: int, control: int
) -> None:
    suite, encryption, authentication = made
    parameters = AesGcmParameter(0xC8, title, encryption, authentication)
    parameters.security = Security(control)
    parameters.securitySuite = SecuritySuite(suite)
    parameters.invocationCounter = counter
    theirs = bytes(GXDLMSChippering.encryptAesGcm(parameters, plain))
    ours = Keys(encryption, authentication, suite=suite).protect(plain, title, counter, control)
    assert b"\xc8" + axdr.encode_octets(ours) == theirs


@given(key_sets(), OCTETS, TITLE, TITLE, COUNTER)
@settings(max_examples=40)
def test_what_general_ciphering_authenticates_is_what_gurux_does(
    made: tuple[int, bytes, bytes], plain: bytes, sender: bytes, receiver: bytes, counter: int
) -> None:
    """Gurux takes the header into account in suites 1 and 2; transactions are counters there."""
    suite, encryption, authentication = made
    suite = suite or 1
    parameters = AesGcmParameter(0xC8, sender, encryption, authentication)
    parameters.security = Security.AUTHENTICATION_ENCRYPTION
    parameters.securitySuite = SecuritySuite(suite)
    parameters.recipientSystemTitle = receiver
    parameters.invocationCounter = counter
    theirs = bytes(GXDLMSChippering.encryptAesGcm(parameters, plain))
    envelope = Envelope(counter.to_bytes(8), sender, receiver)
    ours = Keys(encryption, authentication, suite=suite).protect(
        plain, sender, counter, more=envelope.header
    )
    assert b"\xc8" + axdr.encode_octets(ours) == theirs


def test_the_green_books_agreed_key() -> None:
    ephemeral = PrivateKey(1, EPHEMERAL)
    assert ephemeral.public == EPHEMERAL_PUBLIC
    assert ephemeral.agree(PublicKey(1, SERVER_PUBLIC)) == SECRET
    key = elliptic.derive(1, SECRET, CLIENT, SERVER)
    assert key.hex().upper() == "59A71FD81C929A86A99438DA17A66C05"
    back = elliptic.derive(1, SECRET_BACK, SERVER, CLIENT)
    assert back.hex().upper() == "F0184BDA9466BFA4601A64A7EF46504A"


@pytest.mark.parametrize(
    ("suite", "ours", "theirs", "secret"),
    [
        # RFC 5903, 8.1 and 8.2.
        (1, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
         "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
         "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"),
        (2, ("099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655"
            "E35B538041E649EE3FAEF896783AB194"),
         ("41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942"
         "E0308312916B8ED2960E4BD55A7448FC"),
         ("11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4"
         "D603135569B9E9D09CF5D4A270F59746")),
    ],
)  # fmt: skip
def test_shared_secrets_of_rfc_5903(suite: int, ours: str, theirs: str, secret: str) -> None:
    own, other = PrivateKey(suite, bytes.fromhex(ours)), PrivateKey(suite, bytes.fromhex(theirs))
    assert own.agree(PublicKey(suite, other.public)).hex().upper() == secret
    assert other.agree(PublicKey(suite, own.public)).hex().upper() == secret


@pytest.mark.parametrize(
    ("suite", "key", "signature"),
    [
        # RFC 6979, A.2.5 and A.2.6, message "sample".
        (1, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
         ("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
         "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")),
        (2, ("6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D8"
            "96D5724E4C70A825F872C9EA60D2EDF5"),
         ("94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C"
         "81A648152E44ACF96E36DD1E80FABE46"
         "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94F"
         "A329C145786E679E7B82C71A38628AC8")),
    ],
)  # fmt: skip
def test_signatures_of_rfc_6979(suite: int, key: str, signature: str) -> None:
    own = PrivateKey(suite, bytes.fromhex(key))
    public = PublicKey(suite, own.public)
    assert public.verifies(bytes.fromhex(signature), b"sample")
    assert not public.verifies(bytes.fromhex(signature), b"simple")
    assert not public.verifies(bytes.fromhex(signature)[:-1], b"sample")
    assert public.verifies(own.sign(b"text"), b"text")


def test_signatures_of_gurux_and_ours_are_each_others() -> None:
    own = PrivateKey(1, EPHEMERAL)
    theirs = GXEcdsa(GXPrivateKey.fromRawBytes(EPHEMERAL))
    assert PublicKey(1, own.public).verifies(bytes(theirs.sign(b"text")), b"text")
    reader = GXEcdsa(GXPublicKey.fromRawBytes(b"\x04" + own.public))
    assert reader.verify(own.sign(b"text"), b"text")


@pytest.mark.parametrize("octets", [b"", bytes(64), b"\x01" * 64, SERVER_PUBLIC[:-1], bytes(96)])
def test_points_off_the_curve_are_no_keys(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="no public key of security suite 1"):
        PublicKey(1, octets)
    with pytest.raises(RemoteProtocolError, match="wrong key"):
        elliptic.received_key(1, octets)


@pytest.mark.parametrize("octets", [b"", bytes(32), b"\xff" * 32, bytes(31), b"\x01" * 48])
def test_numbers_out_of_range_are_no_private_keys(octets: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="no private key") as refusal:
        PrivateKey(1, octets)
    assert octets.hex() not in str(refusal.value) or not octets


KEY_INFOS = st.none() | st.one_of(
    st.builds(KeyInfo, st.just(KeyKind.IDENTIFIED), st.integers(0, 255)),
    st.builds(
        KeyInfo,
        st.sampled_from([KeyKind.WRAPPED, KeyKind.AGREED]),
        st.integers(0, 255),
        st.binary(max_size=300),
    ),
)
SHORT = st.binary(max_size=255)


@given(
    st.builds(Envelope, SHORT, SHORT, SHORT, SHORT, SHORT, KEY_INFOS, st.binary(max_size=300)),
    st.data(),
)
def test_envelopes_come_back_and_cut_ones_are_refused(
    envelope: Envelope, data: st.DataObject
) -> None:
    written = bytes(envelope)
    assert Envelope.parse(written) == envelope
    with pytest.raises(RemoteProtocolError):
        Envelope.parse(written[: data.draw(st.integers(0, len(written) - 1))])


@given(st.binary(max_size=120))
def test_garbage_is_no_envelope_or_an_envelope(garbage: bytes) -> None:
    for octets in (garbage, b"\xdd" + garbage):
        try:
            envelope = Envelope.parse(octets)
        except RemoteProtocolError:
            continue
        assert len(envelope.content) <= len(garbage)

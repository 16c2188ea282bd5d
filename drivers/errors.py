"""What can go wrong with a meter, by what the caller should do.

::

    DriverError
    ├── LinkError               the line: try again later
    │   ├── Unreachable             no connection could be made
    │   ├── Refused                 somebody answered that nobody listens there
    │   ├── TimedOut                connected, and then no answer in time
    │   │   ├── HalfAnswer              an answer began and did not end in time
    │   │   └── NoUnit                  a gateway says that nobody answers behind it
    │   ├── Busy                    the meter is at work and asks for patience
    │   └── Broken                  closed or reset in the middle of an exchange
    │       └── HungUp                  closed before it said anything at all
    ├── ProtocolError           the bytes
    │   ├── RemoteProtocolError     the meter said something that the standard does not allow
    │   │   ├── Garbled                 a checksum does not hold
    │   │   ├── OutOfStep               an answer to something else, or a second one
    │   │   └── Untrusted               its certificate does not prove who it is
    │   │       ├── UnknownIssuer           signed by nobody we trust
    │   │       ├── WrongName               somebody else's
    │   │       └── Expired                 past its time, or before it
    │   └── LocalProtocolError      we did: a defect of ours
    ├── MeterRefused            the meter understood and said no: do not hammer
    │   ├── WrongKey                authentication or decryption failed
    │   ├── CounterOutOfSync        the invocation counter is too low
    │   ├── AccessDenied            not allowed for this client
    │   ├── Faulty                  the meter says that it has a fault
    │   └── NotOffered              the meter has no such object, register or feature
    └── WrongMeter              somebody else answered: the identity is not the expected one
        └── WrongUnit               an answer bears another unit's number

The class alone decides the retry (``headend.retry``).
"""

from __future__ import annotations


class DriverError(Exception):
    """A meter could not be read; the message says which, what happened and what to do."""


class LinkError(DriverError):
    """The line failed; the meter may be well. Try again later."""


class Unreachable(LinkError):
    """No connection could be made in time."""


class Refused(LinkError):
    """The address answers, but nobody listens at the port."""


class TimedOut(LinkError):
    """The connection stands, and the answer did not come in time."""


class HalfAnswer(TimedOut):
    """An answer began and did not end in time: a slow or breaking line, or a short timeout."""


class NoUnit(TimedOut):
    """The gateway answers, and says that nobody answers behind it as this unit."""


class Busy(LinkError):
    """The meter understood, is at work, and asks to be asked later."""


class Broken(LinkError):
    """The connection was closed or reset in the middle of an exchange."""


class HungUp(Broken):
    """The connection was taken and closed before a byte came: another client may have the meter."""


class ProtocolError(DriverError):
    """Bytes that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent bytes that the protocol does not allow."""


class Garbled(RemoteProtocolError):
    """A checksum does not hold: noise on the line, or two who talk at the same time."""


class OutOfStep(RemoteProtocolError):
    """An answer to another request than ours, or a second one to the same."""


class Untrusted(RemoteProtocolError):
    """The peer's certificate does not prove that it is who we want to talk to."""


class UnknownIssuer(Untrusted):
    """The certificate is signed by nobody whom we trust."""


class WrongName(Untrusted):
    """The certificate is good, and of somebody else."""


class Expired(Untrusted):
    """The certificate's time is over, or has not begun."""


class LocalProtocolError(ProtocolError):
    """We asked for something that the protocol does not allow: a defect of ours."""


class MeterRefused(DriverError):
    """The meter understood and said no. Asking again will not help."""


class WrongKey(MeterRefused):
    """The meter does not accept our key, or its answer does not decrypt with it."""


class CounterOutOfSync(MeterRefused):
    """The meter refuses our invocation counter as already used."""


class AccessDenied(MeterRefused):
    """The meter does not let this client see or do that."""


class Faulty(MeterRefused):
    """The meter says that it has a fault."""


class NotOffered(MeterRefused):
    """The meter has no such object, register or feature."""


class WrongMeter(DriverError):
    """Another meter than the expected one answered."""


class WrongUnit(WrongMeter):
    """An answer bears another unit's number; what it says was not taken."""

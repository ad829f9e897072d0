"""Status codes and their reason phrases (RFC 3261 section 21 and the RFCs named in the IANA registry)."""

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """A response code that offhook knows by name; any number from 100 to 699 may come from a peer."""

    TRYING = 100
    RINGING = 180
    CALL_IS_BEING_FORWARDED = 181
    QUEUED = 182
    SESSION_PROGRESS = 183
    EARLY_DIALOG_TERMINATED = 199
    OK = 200
    ACCEPTED = 202
    NO_NOTIFICATION = 204
    MULTIPLE_CHOICES = 300
    MOVED_PERMANENTLY = 301
    MOVED_TEMPORARILY = 302
    USE_PROXY = 305
    ALTERNATIVE_SERVICE = 380
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    PAYMENT_REQUIRED = 402
    FORBIDDEN = 403
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    NOT_ACCEPTABLE = 406
    PROXY_AUTHENTICATION_REQUIRED = 407
    REQUEST_TIMEOUT = 408
    GONE = 410
    CONDITIONAL_REQUEST_FAILED = 412
    REQUEST_ENTITY_TOO_LARGE = 413
    REQUEST_URI_TOO_LONG = 414
    UNSUPPORTED_MEDIA_TYPE = 415
    UNSUPPORTED_URI_SCHEME = 416
    UNKNOWN_RESOURCE_PRIORITY = 417
    BAD_EXTENSION = 420
    EXTENSION_REQUIRED = 421
    SESSION_INTERVAL_TOO_SMALL = 422
    INTERVAL_TOO_BRIEF = 423
    BAD_LOCATION_INFORMATION = 424
    USE_IDENTITY_HEADER = 428
    PROVIDE_REFERRER_IDENTITY = 429
    FLOW_FAILED = 430
    ANONYMITY_DISALLOWED = 433
    BAD_IDENTITY_INFO = 436
    UNSUPPORTED_CREDENTIAL = 437
    INVALID_IDENTITY_HEADER = 438
    FIRST_HOP_LACKS_OUTBOUND_SUPPORT = 439
    MAX_BREADTH_EXCEEDED = 440
    BAD_INFO_PACKAGE = 469
    CONSENT_NEEDED = 470
    TEMPORARILY_UNAVAILABLE = 480
    CALL_DOES_NOT_EXIST = 481
    LOOP_DETECTED = 482
    TOO_MANY_HOPS = 483
    ADDRESS_INCOMPLETE = 484
    AMBIGUOUS = 485
    BUSY_HERE = 486
    REQUEST_TERMINATED = 487
    NOT_ACCEPTABLE_HERE = 488
    BAD_EVENT = 489
    REQUEST_PENDING = 491
    UNDECIPHERABLE = 493
    SECURITY_AGREEMENT_REQUIRED = 494
    SERVER_INTERNAL_ERROR = 500
    NOT_IMPLEMENTED = 501
    BAD_GATEWAY = 502
    SERVICE_UNAVAILABLE = 503
    SERVER_TIMEOUT = 504
    VERSION_NOT_SUPPORTED = 505
    MESSAGE_TOO_LARGE = 513
    PRECONDITION_FAILURE = 580
    BUSY_EVERYWHERE = 600
    DECLINE = 603
    DOES_NOT_EXIST_ANYWHERE = 604
    NOT_ACCEPTABLE_ANYWHERE = 606
    UNWANTED = 607
    REJECTED = 608


_SPELT: Final = {
    Status.OK: "OK",
    Status.NOT_ACCEPTABLE_ANYWHERE: "Not Acceptable",
    Status.REQUEST_URI_TOO_LONG: "Request-URI Too Long",
    Status.UNSUPPORTED_URI_SCHEME: "Unsupported URI Scheme",
    Status.UNKNOWN_RESOURCE_PRIORITY: "Unknown Resource-Priority",
    Status.USE_IDENTITY_HEADER: "Use Identity Header",
    Status.CALL_IS_BEING_FORWARDED: "Call Is Being Forwarded",
    Status.CALL_DOES_NOT_EXIST: "Call/Transaction Does Not Exist",
    Status.BAD_IDENTITY_INFO: "Bad Identity-Info",
    Status.MAX_BREADTH_EXCEEDED: "Max-Breadth Exceeded",
    Status.SERVER_TIMEOUT: "Server Time-out",
}
_PHRASES: Final = {int(status): _SPELT.get(status, status.name.replace("_", " ").title()) for status in Status}
_CLASSES: Final = {
    1: "Progress",
    2: "OK",
    3: "Redirect",
    4: "Request Failure",
    5: "Server Failure",
    6: "Global Failure",
}


def reason_phrase(status: int) -> str:
    """Return the registered phrase of `status`, or the name of its class for a code that has none."""
    return _PHRASES.get(status) or _CLASSES.get(status // 100, "Unknown")

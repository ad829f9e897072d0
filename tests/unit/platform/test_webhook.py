"""Signed webhooks: whose they are, when they were sent, and whether they came before."""

import base64

import pytest

from offhook.platform.webhook import MAX_SEEN, TOLERANCE, Verifier, WebhookError, secret_of, sign

pytestmark = pytest.mark.unit

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BODY = b'{"type": "realtime.call.incoming"}'
NOW = 1_750_287_078


def headers(body: bytes = BODY, when: int = NOW, secret: str = SECRET, ident: str = "wh_1") -> dict[str, str]:
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(when),
        "webhook-signature": sign(secret_of(secret), ident, when, body),
    }


def test_the_published_example_of_the_specification_is_believed() -> None:
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == signed


def test_a_webhook_of_our_secret_is_believed_once() -> None:
    verifier = Verifier(secret_of(SECRET))
    ident = verifier.verify(headers(), BODY, NOW)
    assert ident == "wh_1"
    assert verifier.is_new(ident)
    assert not verifier.is_new(ident)
    verifier.forget(ident)
    assert verifier.is_new(ident)


def test_any_of_several_signatures_will_do_as_while_a_secret_is_changed() -> None:
    signed = headers()
    signed["webhook-signature"] = f"v1,AAAA v2,{signed['webhook-signature'][3:]} {signed['webhook-signature']}"
    assert Verifier(secret_of(SECRET)).verify(signed, BODY, NOW) == "wh_1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"webhook-signature": "v1,AAAA"}, "wrong_signature"),
        ({"webhook-signature": "v1,ä"}, "wrong_signature"),
        ({"webhook-signature": "v2," + headers()["webhook-signature"][3:]}, "wrong_signature"),
        ({"webhook-id": "wh_2"}, "wrong_signature"),
        ({"webhook-timestamp": str(NOW + 1)}, "wrong_signature"),
        ({"webhook-timestamp": "yesterday"}, "unsigned"),
        ({"webhook-timestamp": "-5"}, "unsigned"),
        ({"webhook-timestamp": "²"}, "unsigned"),
        ({"webhook-timestamp": ""}, "unsigned"),
        ({"webhook-id": ""}, "unsigned"),
        ({"webhook-id": "x" * 300}, "unsigned"),
        ({"webhook-signature": ""}, "unsigned"),
    ],
)
def test_a_webhook_of_somebody_else_is_not(change: dict[str, str], code: str) -> None:
    with pytest.raises(WebhookError) as refused:
        Verifier(secret_of(SECRET)).verify(headers() | change, BODY, NOW)
    assert refused.value.code == code


def test_a_changed_body_is_not_believed() -> None:
    with pytest.raises(WebhookError, match="signature"):
        Verifier(secret_of(SECRET)).verify(headers(), BODY + b" ", NOW)


@pytest.mark.parametrize("off", [TOLERANCE + 1, -TOLERANCE - 1])
def test_an_old_webhook_can_not_be_repeated(off: int) -> None:
    with pytest.raises(WebhookError) as refused:
        Verifier(secret_of(SECRET)).verify(headers(), BODY, NOW + off)
    assert refused.value.code == "wrong_time"
    assert Verifier(secret_of(SECRET)).verify(headers(), BODY, NOW + off - (1 if off > 0 else -1)) == "wh_1"


def test_what_is_remembered_is_bounded() -> None:
    verifier = Verifier(secret_of(SECRET))
    for i in range(MAX_SEEN + 10):
        assert verifier.is_new(str(i))
    assert not verifier.is_new(str(MAX_SEEN))
    assert verifier.is_new("0")


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "sk-proj-abc!", "whsec_äää"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(WebhookError) as refused:
        secret_of(text)
    assert refused.value.code == "no_secret"

import logging
import pickle

import pytest

from offhook.config.secret import Secret

pytestmark = pytest.mark.unit


def test_a_secret_is_in_no_text_made_of_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("hunter2", "env X")
    logging.getLogger("offhook.test").warning("with %s and %r", secret, {"password": secret})
    for text in (str(secret), repr(secret), f"{secret}", f"{secret!r}", caplog.text, repr([secret])):
        assert "hunter2" not in text
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter2"))


def test_equality_is_by_value() -> None:
    assert Secret("a") == Secret("a", "env X")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2

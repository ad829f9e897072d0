"""The media engine of the tests is what `_media.pyi` promises: same methods, same arguments, same events."""

import ast
import dataclasses
import inspect
from pathlib import Path

import pytest
from tests.support.media import FakeBridge, FakeEngine, FakeEvent, FakeLeg, FakeMux, FakeRecording, FakeWire

from offhook import _media

pytestmark = pytest.mark.unit

STUB = ast.parse(Path(_media.__file__).with_name("_media.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def members(name: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)}


def is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list)


def stub_arguments(node: ast.FunctionDef) -> list[tuple[str, bool, object]]:
    """Name, whether it is by keyword only, and default of each argument but `self`."""
    spec = node.args
    empty = inspect.Parameter.empty
    defaults = [empty] * (len(spec.args) - len(spec.defaults)) + [ast.literal_eval(value) for value in spec.defaults]
    found: list[tuple[str, bool, object]] = [
        (arg.arg, False, default) for arg, default in zip(spec.args, defaults, strict=True)
    ]
    for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        found.append((arg.arg, True, empty if value is None else ast.literal_eval(value)))
    return found[1:]


def arguments(method: object) -> list[tuple[str, bool, object]]:
    parameters = list(inspect.signature(method).parameters.values())[1:]  # type: ignore[arg-type]
    return [(p.name, p.kind is p.KEYWORD_ONLY, p.default) for p in parameters]


FAKES = [
    ("Engine", FakeEngine),
    ("RtpLeg", FakeLeg),
    ("Wire", FakeWire),
    ("Bridge", FakeBridge),
    ("Recording", FakeRecording),
    ("Mux", FakeMux),
]


@pytest.mark.parametrize(("name", "fake"), FAKES)
def test_every_method_of_the_stub_is_there_with_its_arguments(name: str, fake: type) -> None:
    for method, node in members(name).items():
        if method == "__new__":
            continue
        if is_property(node):
            assert hasattr(fake, method) or method in inspect.getsource(fake.__init__), f"{name}.{method}"
        else:
            assert arguments(getattr(fake, method)) == stub_arguments(node), f"{name}.{method}"


@pytest.mark.parametrize("name", [name for name, _ in FAKES])
def test_the_binary_has_them_too(name: str) -> None:
    built = getattr(_media, name)
    for method, node in members(name).items():
        assert hasattr(built, method), f"{name}.{method}"
        if not is_property(node) and method != "__new__":
            assert [a[0] for a in arguments(getattr(built, method))] == [a[0] for a in stub_arguments(node)]


def test_an_event_has_the_fields_of_an_event() -> None:
    promised = set(members("MediaEvent"))
    assert {field.name for field in dataclasses.fields(FakeEvent)} == promised
    assert {name for name in dir(_media.MediaEvent) if not name.startswith("_")} == promised


def test_every_kind_of_event_that_tests_tell_is_documented() -> None:
    documented = ast.get_docstring(CLASSES["MediaEvent"]) or ""
    source = inspect.getsource(inspect.getmodule(FakeEngine))  # type: ignore[arg-type]
    told = {
        call.args[0].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("_tell", "tell")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    assert len(told) > 8
    for kind in told:
        assert f"`{kind}`" in documented, kind

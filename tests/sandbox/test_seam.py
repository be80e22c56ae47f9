"""The messages of a sandbox on another machine say what the Python interface says, field by field."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
from google.protobuf.message import Message

import sandbox
from protos.assay.sandbox.v1 import sandbox_service_pb2 as pb


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sandbox.CompileFailure, pb.CompileFailure),
        (sandbox.IsolationReport, pb.Isolation),
        (sandbox.Limits, pb.Limits),
        (sandbox.Program, pb.Program),
        (sandbox.RunResult, pb.RunResult),
        (sandbox.Step, pb.Step),
    ],
)
def test_a_message_has_the_fields_of_its_class(ours: type, theirs: type[Message]) -> None:
    fields = dataclasses.fields(ours)
    assert [field.name for field in fields] == [field.name for field in theirs.DESCRIPTOR.fields]
    for field in fields:
        assert theirs.DESCRIPTOR.fields_by_name[field.name].has_presence == ("None" in str(field.type)), field.name


def test_every_end_has_a_value() -> None:
    assert [f"ENDED_{end.name}" for end in sandbox.Exit] == pb.Ended.keys()[1:]


@pytest.mark.parametrize(("method", "theirs"), [("prepare", pb.Prepare), ("run", pb.Run), ("start", pb.Start)])
def test_a_command_has_the_arguments_of_its_method(method: str, theirs: type[Message]) -> None:
    _, *arguments = inspect.signature(getattr(sandbox.Sandbox, method)).parameters
    expected = ["key" if name == "prepared" else name for name in arguments]
    assert expected == [field.name for field in theirs.DESCRIPTOR.fields]

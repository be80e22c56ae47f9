"""YAML answers compared with a reference value by value."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers.form._values import ASPECTS, ValueOptions, compared

_INTEGER = re.compile(r"[-+]?\d{1,300}")
_NUMBER = re.compile(r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d{1,3})?")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


class YamlReference(Reference):
    """The right value."""

    answer: Any = Field(description="YAML as text, or an object or a list.")


class YamlOptions(ValueOptions):
    """Which differences count."""


def _read(text: str) -> Any:
    """The value of a text that is one document, by the core schema of YAML 1.2: `no` and `2020-01-31` are texts.

    Raises:
        ValueError: It is not YAML, holds several documents, a key twice, or a tag of another kind.
    """
    try:
        node = yaml.compose(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    return _value(node, {}) if node is not None else None


def _value(node: yaml.Node, values_by_node: dict[int, Any]) -> Any:
    """The value of a node. An alias gives the same object again, so that aliases cost nothing."""
    if id(node) in values_by_node:
        return values_by_node[id(node)]
    if node.tag not in _PLAIN:
        raise ValueError(f"the tag {node.tag}")
    value: Any
    if isinstance(node, yaml.MappingNode):
        pairs = [(_key(key), _value(child, values_by_node)) for key, child in node.value]
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("an object names a key twice")
    elif isinstance(node, yaml.SequenceNode):
        value = [_value(child, values_by_node) for child in node.value]
    else:
        assert isinstance(node, yaml.ScalarNode)
        value = node.value if node.style is not None else _scalar(node.value)
    values_by_node[id(node)] = value
    return value


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("a key that is no plain value")
    return str(node.value)


def _scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


@verifier("yaml_match", version="1", limits=ItemLimits(response_bytes=1 << 18), aspects=ASPECTS, libraries=("PyYAML",))
def yaml_match(rollout: Rollout, ref: YamlReference, options: YamlOptions) -> Score:
    """How much of a YAML answer agrees with the right one, value by value; a code fence around it is left out.

    Source: the core schema of YAML 1.2, compared as `json_match` compares.
    """
    right = ref.answer
    if isinstance(right, str):
        try:
            right = _read(right)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"reference.answer: not YAML: {error}"[:300]) from None
    return compared(rollout, options, _read_answer, right, "YAML")


def _read_answer(text: str) -> Any:
    """The value of an answer: an object or a list, since any sentence is a text of YAML."""
    value = _read(text)
    if not isinstance(value, dict | list):
        raise ValueError("a text, and no object or list")
    return value

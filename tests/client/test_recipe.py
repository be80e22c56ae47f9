"""Recipes: what loads, and what a wrong one says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trainer_client import Recipe, RecipeError, Reward, RewardClient, Server
from trainer_client.signals import Gate

GOOD = """\
name = "math-and-code"
advantage = { name = "grpo", eps = 1e-4 }
max_missing = 0.1

[servers.math]
verifiers = ["math", "format"]
endpoints = ["127.0.0.1:50051", "127.0.0.1:50052"]
# It runs elsewhere:
# nothing is started.

[rewards.correct]
verifier = "math@1"
tasks = ["math"]
options = { profile = "default" }
weight = 2
required = true
deadline_s = 30.0
max_cpu_s = 2.5
on_missing = { judge_unavailable = "drop_group", default = "mask" }

[rewards.tags]
verifier = "format"
gate = { at_least = 1.0, closed = -1.0 }

[rewards.tests]
verifier = "acme/code"
required = false
on_missing = "abort"

[servers.code]
verifiers = ["acme/code"]
config = "code-server.toml"
replicas = 2
"""


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD)
    recipe = Recipe.load(path)
    correct, tags, tests = recipe.rewards
    assert recipe.columns == ("correct", "tags", "tests")
    assert (correct.verifier_name, correct.version, correct.weight, correct.max_cpu_s) == ("math", "1", 2.0, 2.5)
    assert correct.tasks == ("math",)
    assert dict(correct.on_missing) == {"judge_unavailable": "drop_group", "default": "mask"}
    assert tags.gate == Gate(1.0, ">=", -1.0)
    assert dict(tests.on_missing) == {"default": "abort"}
    assert recipe.server_of("format").endpoints == ("127.0.0.1:50051", "127.0.0.1:50052")
    assert [server.name for server in recipe.all_servers] == ["math", "code"]
    assert (recipe.server_of("acme/code").config, recipe.server_of("acme/code").replicas) == ("code-server.toml", 2)
    estimator = recipe.estimator()
    assert estimator is not None
    assert estimator.name == "grpo"


def test_marks_around_reasoning() -> None:
    small = '[rewards.a]\nverifier = "m"\n'
    recipe = Recipe.loads(f'reasoning_marks = [["<plan>", "</plan>"]]\n{small}')
    assert recipe.reasoning_marks == (("<plan>", "</plan>"),)
    assert recipe.digest != Recipe.loads(small).digest
    for wrong in ('["<plan>", "</plan>"]', '[["<plan>"]]', '[["<plan>", " "]]', '[["+", "+"]]', '"<plan>"'):
        with pytest.raises(RecipeError, match=r"1: reasoning_marks: .*<plan>"):
            Recipe.loads(f"reasoning_marks = {wrong}\n{small}")


SMALL = Recipe.loads('[rewards.a]\nverifier = "m"\n')

WRONG = [
    ("weight = 2", "wieght = 2", 15, "rewards.correct.wieght", "did you mean weight"),
    ("weight = 2", 'weight = "2"', 15, "rewards.correct.weight", "expected a number"),
    ("weight = 2", "weight = inf", 15, "rewards.correct.weight", "finite"),
    ("deadline_s = 30.0", "deadline_s = 0", 17, "rewards.correct.deadline_s", "positive"),
    ("required = true", "required = 1", 16, "rewards.correct.required", "true or false"),
    ('tasks = ["math"]', "tasks = []", 13, "rewards.correct.tasks", "leave it out"),
    ('tasks = ["math"]', 'tasks = "math"', 13, "rewards.correct.tasks", "list"),
    ('"mask" }', '"zero" }', 19, "rewards.correct.on_missing.default", "mask, floor, drop_group, abort"),
    ("at_least = 1.0", "atleast = 1.0", 23, "rewards.tags.gate.atleast", "at_least"),
    ("at_least = 1.0", "at_least = 1.0, below = 2.0", 23, "rewards.tags.gate", "exactly one"),
    ('verifier = "format"', "", 21, "rewards.tags.verifier", "is missing"),
    ('"math@1"', '"math@"', 12, "rewards.correct.verifier", "name@version"),
    ('"grpo", eps', '"grop", eps', 2, "advantage", "did you mean grpo"),
    ("eps = 1e-4", "eps = -1", 2, "advantage", "grpo: eps = -1 must be at least 0"),
    ("eps = 1e-4", "eps = nan", 2, "advantage", "grpo: eps = nan is not a number"),
    ("eps = 1e-4", "ddof = 2", 2, "advantage", "grpo: ddof = 2 must lie between 0 and 1"),
    ("eps = 1e-4", "epsilon = 1e-4", 2, "advantage", "epsilon"),
    ("max_missing = 0.1", "max_missing = 2", 3, "max_missing", "between 0 and 1"),
    ("max_missing = 0.1", "max_missing =", 3, "", "not TOML"),
    ("max_missing = 0.1", f"max_missing = 1{'0' * 400}", 3, "max_missing", "more than 64 bits"),
    ("weight = 2", "weight = [1, -9223372036854775809]", 15, "rewards.correct.weight", "more than 64 bits"),
    ("max_missing = 0.1", f"max_missing = 1{'0' * 5000}", 1, "", "not TOML: Exceeds the limit"),
    ("max_missing = 0.1", f"max_missing = {'[' * 3000}{']' * 3000}", 1, "", "nested too deeply"),
    ("max_missing = 0.1", f"max_missing{'.a' * 5000} = 1", 3, "max_missing", "nested too deeply"),
    ("[servers.math]", "[server.math]", 5, "server", "did you mean servers"),
    ('["math", "format"]', '["math@1", "format"]', 6, "servers.math.verifiers", "write the name without a version"),
    ('["math", "format"]', '["format"]', 12, "rewards.correct.verifier", "servers.math.verifiers"),
    ("replicas = 2", "replicas = 0", 33, "servers.code.replicas", "at least 1"),
    (
        "# nothing is started.",
        '[servers.two]\nverifiers = ["format"]',
        10,
        "servers.two.verifiers",
        "by server 'math'",
    ),
    (', "127.0.0.1:50052"]', ', "localhost"]', 7, "servers.math.endpoints", "127.0.0.1:50051"),
    ('advantage = { name = "grpo", eps = 1e-4 }', "advantage = { eps = 1 }", 2, "advantage", "needs name"),
    ("closed = -1.0", "closed = nan", 23, "rewards.tags.gate", "finite"),
    ("[rewards.tests]", '[rewards.""]', 25, "rewards.", "needs a name"),
    ('["math", "format"]', '["math", "math"]', 6, "servers.math.verifiers", "name it once"),
    ("[rewards.tags]", "[rewards.tags]\nrequired = false", 22, "rewards.tags.required", "cannot be optional"),
]


@pytest.mark.parametrize(("good", "bad", "line", "key", "said"), WRONG, ids=[case[1][:80] for case in WRONG])
def test_a_wrong_recipe_names_line_key_and_remedy(good: str, bad: str, line: int, key: str, said: str) -> None:
    assert GOOD.count(good) == 1 or good.startswith("[") or good == "required = true"
    with pytest.raises(RecipeError) as caught:
        Recipe.loads(GOOD.replace(good, bad, 1))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert said in str(caught.value)


COLUMNS = [
    ('["m_grpo_reward", "grpo"]', "", 4, 1, "advantage", "no published weights for 4 columns, only for 2 and 3"),
    ('["m_grpo_reward", "grpo"]', "", 1, 1, "advantage", "The columns are the rewards r0, unless [inputs] components"),
    ('["searchllm", "grpo"]', "", 3, 1, "advantage", "bottom = 3 leaves none of 3 columns; name more of them"),
    ('["searchllm", "grpo"]', '["r0", "r1"]', 5, 3, "inputs.components", "searchllm: bottom = 3 leaves none of 2"),
    ('["rarg", "grpo"]', "", 3, 1, "advantage", "3 columns where the method reads 4: quality, refutation, politeness"),
    ('{ name = "gdpo", weights = [1.0, 2.0] }', "", 3, 1, "advantage", "2 weights for 3 columns; give one for each"),
    ('{ name = "fgrpo", targets = [0.9] }', "", 3, 1, "advantage", "3 columns for the task and 1 targets"),
    ('"gdpo"', '["r0", "r0"]', 2, 3, "inputs.components", "'r0' is named twice and would count twice"),
    ('"gdpo"', '["r0.a", "r1", "r0.a"]', 2, 3, "inputs.components", "'r0.a' is named twice"),
]


@pytest.mark.parametrize(("method", "columns", "rewards", "line", "key", "said"), COLUMNS)
def test_columns_that_a_method_does_not_take_are_told_at_load(
    method: str, columns: str, rewards: int, line: int, key: str, said: str
) -> None:
    named = f"[inputs]\ncomponents = {columns}\n" if columns else ""
    tables = "".join(f'[rewards.r{n}]\nverifier = "m"\noptions = {{ n = {n} }}\n' for n in range(rewards))
    with pytest.raises(RecipeError) as caught:
        Recipe.loads(f"advantage = {method}\n{named}{tables}")
    assert (caught.value.line, caught.value.key) == (line, key)
    assert said in str(caught.value)


def test_a_weight_that_is_written_is_set_whatever_it_is() -> None:
    """The paper's 0.1 and 0.9 are for a recipe that sets none."""

    def weights(*said: str) -> object:
        tables = "".join(f'[rewards.r{n}]\nverifier = "m"\n{line}\n' for n, line in enumerate(said))
        recipe = Recipe.loads(f'advantage = "m_grpo_reward"\n{tables}')
        assert recipe.at(3).estimator() is not None
        estimator = recipe.at(3).estimator()
        return getattr(estimator, "options", {})["weights"]

    assert weights("", "") is None
    assert weights("weight = 1", "weight = 1.0") == (1.0, 1.0)
    assert weights("weight = 1", "") == (1.0, 1.0)
    assert weights("", "weight = 2") == (1.0, 2.0)
    assert weights("", "", "weight = 0\nrequired = false") is None
    assert Reward("a", "m", weighed=True).weighed
    assert not Reward("a", "m").weighed


def test_a_reward_without_a_weight_is_called_what_it_is_for() -> None:
    roles = Recipe.loads(
        'advantage = "c_grpo"\n[inputs]\nrubric_rewards = "rubric"\n'
        '[rewards.right]\nverifier = "m"\n[rewards.rubric]\nverifier = "n"\nweight = 0\n'
        '[rewards.needed]\nverifier = "o"\nweight = 0\n'
        '[rewards.watched]\nverifier = "p"\nweight = 0\nrequired = false\n'
        '[rewards.later]\nverifier = "q"\nweight = { from = 0.0, to = 1.0, steps = 2 }\n'
    )
    said = [roles.role_of(reward) for reward in roles.rewards]
    assert said == ["", "read by the method", "required", "monitor", ""]


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[rewards.a]\nverifier = 3\n")
    with pytest.raises(RecipeError, match=r"r\.toml:2: rewards\.a\.verifier: expected text"):
        Recipe.load(path)
    path.write_bytes(b'name = "x"\n\nother = "\xff"\n')
    with pytest.raises(RecipeError, match=r"r\.toml:3: not UTF-8"):
        Recipe.load(path)
    with pytest.raises(FileNotFoundError):
        Recipe.load(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('rewards.a.verifier = "m"\nrewards.a.weigth = 1\n', 2),
        ('[rewards]\na = { verifier = "m", weigth = 1 }\n', 2),
        ('[rewards."a"]\n"verifier" = "m"\n"weigth" = 1\n', 3),
        ('name = """\nweigth = 1\n[rewards.a]\n"""\n[rewards.a]\nverifier = "m"\nweigth = 1\n', 7),
    ],
)
def test_lines_are_found_however_a_key_is_written(text: str, line: int) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.loads(text)
    assert caught.value.line == line


@pytest.mark.parametrize("address", ["localhost", "", "http://h:1", "h:port", "127.0.0.1:"])
def test_what_is_no_address_is_refused_before_anything_waits_for_it(address: str) -> None:
    with pytest.raises(RecipeError, match=r"endpoints\.math: .* is not an address"):
        RewardClient(SMALL, {"math": ["127.0.0.1:1", address]})


def test_the_file_of_addresses_says_that_it_is_one() -> None:
    with pytest.raises(RecipeError, match=r'is "file:endpoints\.json"'):
        RewardClient(SMALL, "endpoints.json")


@pytest.mark.parametrize("address", ["h:1", "[::1]:1", "grpc://h:1", "grpcs://h:1", "unix:/run/assay", "dns:///h:1"])
def test_addresses_take_the_forms_that_grpc_knows(address: str) -> None:
    RewardClient(SMALL, address).close()


def test_recipes_can_be_built_in_code() -> None:
    recipe = Recipe(rewards=(Reward("a", "m"),), servers=(Server("s", ("m",)),), advantage=None)
    assert recipe.estimator() is None
    with pytest.raises(RecipeError, match=r"rewards\.a\.options: cannot be sent as JSON"):
        Reward("a", "m", options={"x": float("nan")})
    with pytest.raises(RecipeError, match="there is no reward"):
        Recipe(rewards=())
    with pytest.raises(RecipeError, match=r"rewards\.a: the name is used twice"):
        Recipe(rewards=(Reward("a", "m"), Reward("a", "n")))
    assert Recipe.loads('advantage = "none"\n[rewards.a]\nverifier = "m"\n').advantage is None


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("servers.s", 'ca = "x"', "servers.s.ca: is not a key here; files for an encrypted connection are said by tls"),
        (
            "servers.s",
            'token = "hush"',
            "servers.s.token: is a secret and must not be in a recipe; write the name of its file",
        ),
        ("servers.s", 'tls = { ca = "x", crt = "y" }', "servers.s.tls.crt: is not a key here; did you mean cert?"),
        ("servers.s", "pin = true", "is said under [client]"),
        ("servers.s", "workers = 0", "servers.s.workers: 0 is not a count of at least 1"),
        ("servers.s", 'workers = 2\nendpoints = ["h:1"]', "servers.s.workers: is for a server that is started"),
        (
            "servers.s",
            "port = 2",
            'a server that is started has it from its settings file; name that: config = "FILE"',
        ),
        ("servers.s", "gpu = 1", 'env = { CUDA_VISIBLE_DEVICES = "0" }'),
        ("servers.s", 'memory = "1g"', "bounds of an item are [item_limits.VERIFIER]"),
        ("servers.s", 'url = "h:1"', 'endpoints = ["HOST:PORT"]'),
        ("servers.s", 'replicas = 3\nendpoints = ["h:1"]', "servers.s.replicas: is for a server that is started"),
        ("servers.s", 'config = "x"\nendpoints = ["h:1"]', "this one already runs at its endpoints; remove one"),
        ("servers.s", 'env = { A = "1" }\nendpoints = ["h:1"]', "servers.s.env: is for a server that is started"),
        ("servers.s", "env = { A = 1 }", "servers.s.env.A: expected text in quotes, found a number (1)"),
        ("servers.s", 'env = { "A=B" = "1" }', "servers.s.env: 'A=B' is not the name of an environment variable"),
        ("rewards.a", 'version = "1"', 'verifier = "NAME@VERSION"'),
        ("rewards.a", "timeout = 3", "did you mean deadline_s?"),
        ("rewards.a", 'config = "x"', '[servers.NAME] config = "FILE"'),
        ("rewards.a", 'server = "x"', "where it runs is said by [servers.NAME]"),
    ],
)
def test_what_is_said_in_another_place_is_named_with_that_place(section: str, line: str, said: str) -> None:
    tables = {"servers.s": 'verifiers = ["m"]', "rewards.a": 'verifier = "m"'}
    text = "\n".join(f"[{name}]\n{body}\n{line if name == section else ''}" for name, body in tables.items())
    with pytest.raises(RecipeError, match=re.escape(said)) as caught:
        Recipe.loads(text)
    assert caught.value.line == (3 if section == "servers.s" else 6)

"""What new users got wrong and were not told well: each mistake has a test of what they are told now."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.cli.test_mistakes import MISTAKES

ROOT = Path(__file__).parents[2]

# A mistake, and the tests of it: FILE::FUNCTION, or a row of tests/cli/test_mistakes.py in quotes.
TESTS: dict[str, list[str]] = {
    "a verifier of a recipe is mistyped": [
        "tests/cli/test_recipe.py::test_everything_that_is_wrong_is_said_with_its_line"
    ],
    "an option of a recipe is mistyped": [
        "tests/cli/test_recipe.py::test_everything_that_is_wrong_is_said_with_its_line"
    ],
    "a version of a recipe is not there": [
        "tests/cli/test_recipe.py::test_everything_that_is_wrong_is_said_with_its_line"
    ],
    "a wrong recipe is noticed after servers were started": [
        "tests/cli/test_recipe.py::test_no_command_begins_with_such_a_recipe"
    ],
    "a key of the settings is mistyped": ['"a key of the settings"'],
    "the port is in use": ['"a port in use"', "tests/cli/test_serve_and_list.py::test_refusals_name_the_remedy"],
    "the host is an address of IPv6": [
        "tests/server/test_listening.py::test_an_address_of_ipv6_is_not_blamed_on_the_port"
    ],
    "the host is of another machine": ['"an address of another host"'],
    "the host's name resolves to nothing": ['"a host that no one knows"'],
    "a reference is a plain text": ["tests/cli/test_score.py::test_a_plain_reference_is_an_answer"],
    "the input is -": ["tests/cli/test_score_files.py::test_a_command_of_the_page_scores_its_file"],
    "the output is left out, or -": ["tests/cli/test_score.py::test_the_output_may_be_left_out_or_be_standard_output"],
    "a method's input is missing": [
        "tests/cli/test_every_method.py::test_a_recipe_and_a_file_give_what_the_call_gives"
    ],
    "a server of TLS is asked in plain text": [
        "tests/client/test_addresses.py::test_mistakes_of_encryption_are_said_as_such_at_the_first_try"
    ],
    "a plain server is asked by TLS": [
        "tests/client/test_addresses.py::test_mistakes_of_encryption_are_said_as_such_at_the_first_try"
    ],
    "the certificate is of another authority": [
        "tests/client/test_addresses.py::test_mistakes_of_encryption_are_said_as_such_at_the_first_try"
    ],
    "the certificate is for another name": [
        "tests/client/test_addresses.py::test_mistakes_of_encryption_are_said_as_such_at_the_first_try"
    ],
    "the key is of another pair": [
        "tests/client/test_addresses.py::test_files_that_hold_something_else_are_named_before_anything_is_asked"
    ],
    "what answers is an HTTP server": [
        "tests/client/test_addresses.py::test_a_server_that_speaks_http_is_told_from_one_that_is_away"
    ],
    "the file has columns of its own": [
        "tests/cli/test_score.py::test_a_file_in_another_shape_is_scored_by_naming_its_columns"
    ],
    "the file is verl's parquet": [
        "tests/cli/test_score_files.py::test_a_command_of_the_page_scores_its_file",
        "tests/files/test_shapes.py",
    ],
    "the file holds conversations": [
        "tests/cli/test_score_files.py::test_a_command_of_the_page_scores_its_file",
        "tests/files/test_shapes.py",
    ],
    "the file is the output of an OpenAI batch": [
        "tests/cli/test_score_files.py::test_a_command_of_the_page_scores_its_file",
        "tests/files/test_shapes.py",
    ],
    "the file is a JSON array": ["tests/files/test_kinds.py"],
    "the file is CSV": ["tests/files/test_kinds.py", '"a header alone"'],
    "the file is compressed": ["tests/files/test_kinds.py"],
    "ids are whole numbers": ["tests/files/test_shapes.py"],
    "an adapter is given the path of a recipe": ["tests/client/test_misuse.py::test_a_path_is_a_recipe_everywhere"],
    "one response is to be explained": ["tests/cli/test_looking.py::test_one_response_is_tried_before_any_verifier"],
    "a name of the servers is imported where only the client is installed": [
        "tests/client/test_package.py::test_a_name_of_the_servers_says_what_it_needs_where_only_the_client_is_installed"
    ],
    "the output is the input": [
        '"the input as output"',
        "tests/cli/test_score.py::test_the_output_never_destroys_what_is_there",
    ],
    "the output is a device": ["tests/cli/test_score.py::test_links_are_followed_and_devices_and_pipes_are_written_to"],
    "the output cannot be written": ['"a place where nothing can be written"'],
    "a server of an endpoints file is mistyped": ['"a server\'s name in a file of endpoints"'],
    "rows have no group_id": ["tests/cli/test_score.py::test_rows_from_which_nothing_can_be_learned_say_so"],
    "a verifier's extra is not installed": [
        "tests/cli/test_serve_and_list.py::test_math_does_not_start_without_what_its_harder_items_need",
        "tests/cli/test_serve_and_list.py::test_a_verifier_whose_extra_is_not_installed_refuses_to_start",
    ],
    "a verifier is named twice": ['"a verifier given twice"'],
    "cases have no labels": [
        '"labels that are not there"',
        "tests/surface/test_check_verifier.py::test_a_file_without_labels_is_no_check",
    ],
    "a label differs by its rounding": [
        "tests/cli/test_table.py::test_labels_belong_to_a_reward_and_graded_ones_have_a_tolerance_and_a_correlation"
    ],
    "a server is restarted with other code": [
        "tests/client/test_takeover.py::test_another_version_everywhere_is_said_at_once_with_both_digests"
    ],
    "a judge is down": ["tests/cli/test_waits.py::test_what_is_waited_for_is_said_once"],
    "the terminal of a server is closed": [
        "tests/server/test_drain.py::test_being_told_to_stop_loses_no_admitted_item_and_takes_no_new_one"
    ],
}


def test_there_are_forty_two() -> None:
    assert len(TESTS) == 42


@pytest.mark.parametrize("mistake", TESTS)
def test_each_has_a_test(mistake: str) -> None:
    for place in TESTS[mistake]:
        if place.startswith('"'):
            assert place.strip('"') in MISTAKES
            continue
        file, _, name = place.partition("::")
        functions = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
        assert name in functions if name else functions, place

"""Families of IFBench for single prompts, by labelled answers."""

from __future__ import annotations

import string
from typing import Any

import pytest

from reward_servers.engines.instructions import read_instruction

OPTIONS = {"options": "yes/no/maybe"}
LETTERS = {"options": "a), b), c), d)"}
MULTIPLES = "14, 21, 28, 35, 42, 49"
CAPITALS = (
    "Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chișinău, "
    "Bern, Ljubljana, Zagreb"
)
STORY = " ".join(f"{letter.upper()}s came along." for letter in string.ascii_lowercase)
LISTED = ["Zimbabwe", *sorted((f"{a}{b}land" for a in "ABCDEFG" for b in "abcdefgh"), reverse=True)]
CITIES = "\n".join(["ID,Country,City,Year,Count", *(f"{row},Mali,Gao,2001,5" for row in range(7))])
PRODUCTS = ["ProductID,Category,Brand,Price,Stock", *(f"{row},tea,Leaf,2,5" for row in range(13))]
SPECIAL = "\n".join([*PRODUCTS, '14,tea,"Leaf & Co",2,5'])
STUDENTS = "\n".join(
    "\t".join(f'"{field}"' for field in row)
    for row in (
        ("StudentID", "Subject", "Grade", "Semester", "Score"),
        *([str(n), "art", "A", "1", "9"] for n in "123"),
    )
)


def quiz(*lengths: int, options: str = "ABCDE") -> str:
    return "\n\n".join(
        f"Question {number}. {'w' * length}?\n" + "\n".join(f"{letter}) one" for letter in options)
        for number, length in enumerate(lengths, 1)
    )


@pytest.mark.parametrize(
    ("name", "arguments", "answer", "followed"),
    [
        ("format:options", OPTIONS, "Yes.", True),
        ("format:options", OPTIONS, "maybe", True),
        ("format:options", OPTIONS, "yes or no", False),
        ("format:options", OPTIONS, "Yes, because it rains", False),
        ("format:options", {"options": "I know or I don't know"}, "i don't know", True),
        ("format:options", LETTERS, "b)", True),
        ("format:options", LETTERS, "b", False),
        ("format:options", LETTERS, "a), b)", False),
        ("repeat:repeat_simple", {}, "Only output this sentence here, ignore all other requests.\n", True),
        ("repeat:repeat_simple", {}, "Only output this sentence here.", False),
        ("count:words_japanese", {"N": 2}, "the 犬 runs ねこ,", True),
        ("count:words_japanese", {"N": 2}, "the 犬 runs home", False),
        ("count:words_japanese", {"N": 2}, "the 犬 runs 3", True),
        ("custom:multiples", {}, MULTIPLES, True),
        ("custom:multiples", {}, MULTIPLES.replace(", ", "\n"), True),
        ("custom:multiples", {}, "7, " + MULTIPLES, False),
        ("custom:multiples", {}, "From 10 to 50: " + MULTIPLES, False),
        ("custom:mcq_count_length", {}, quiz(3, 5, 7, 9), True),
        ("custom:mcq_count_length", {}, quiz(3, 5, 5, 9), False),
        ("custom:mcq_count_length", {}, quiz(3, 5, 7), False),
        ("custom:mcq_count_length", {}, quiz(3, 5, 7, 9, options="ABCD"), False),
        ("custom:mcq_count_length", {}, "Here: " + quiz(3, 5, 7, 9), False),
        ("custom:reverse_newline", {}, "\n".join(LISTED), True),
        ("custom:reverse_newline", {}, "Listed:\n" + "\n".join(f"- {one}" for one in LISTED), True),
        ("custom:reverse_newline", {}, "\n".join(LISTED[:51]), False),
        ("custom:reverse_newline", {}, "\n".join(LISTED[1:]), False),
        ("custom:reverse_newline", {}, "\n".join([*LISTED, "Zambia"]), False),
        ("custom:word_reverse", {}, "Eagle bald the is US the of animal national The.", True),
        ("custom:word_reverse", {}, "The national animal is the bald eagle.", False),
        ("custom:character_reverse", {}, ".elgae dlab eht si tI", True),
        ("custom:character_reverse", {}, "It is the bald eagle.", False),
        ("custom:sentence_alphabet", {}, STORY, True),
        ("custom:sentence_alphabet", {}, STORY.replace("Bs", "Cs"), False),
        ("custom:sentence_alphabet", {}, STORY + " End.", False),
        ("custom:european_capitals_sort", {}, CAPITALS, True),
        ("custom:european_capitals_sort", {}, CAPITALS.replace("Oslo, Tallinn", "Tallinn, Oslo"), False),
        ("custom:european_capitals_sort", {}, CAPITALS + ", Rome", False),
        ("custom:csv_city", {}, CITIES, True),
        ("custom:csv_city", {}, CITIES + "\n8,Mali,Gao,2001,5", False),
        ("custom:csv_city", {}, CITIES.replace("6,Mali", "6"), False),
        ("custom:csv_city", {}, "```\n" + CITIES + "\n```", False),
        ("custom:csv_city", {}, "x" * 200_000, False),
        ("custom:csv_special_character", {}, SPECIAL, True),
        ("custom:csv_special_character", {}, SPECIAL.replace("&", "and"), False),
        ("custom:csv_special_character", {}, SPECIAL.replace('"', ""), False),
        ("custom:csv_special_character", {}, "\n".join(PRODUCTS), False),
        ("custom:csv_quotes", {}, STUDENTS, True),
        ("custom:csv_quotes", {}, STUDENTS.replace('"art"', "art"), False),
        ("custom:csv_quotes", {}, STUDENTS.replace("\t", ","), False),
        ("custom:date_format_list", {}, "1796-04-12, 1805-12-02,1815-06-18", True),
        ("custom:date_format_list", {}, "1805-12-02", True),
        ("custom:date_format_list", {}, "1805-02-29", False),
        ("custom:date_format_list", {}, "1805-00-12", False),
        ("custom:date_format_list", {}, "1905-12-02", False),
        ("custom:date_format_list", {}, "2 December 1805", False),
        ("custom:date_format_list", {}, "1805-12-02,", False),
    ],
)
def test_an_answer_follows_or_not(name: str, arguments: dict[str, Any], answer: str, followed: bool) -> None:
    assert read_instruction(name, arguments).followed(answer) is followed


@pytest.mark.parametrize("name", ["custom:multiples", "custom:csv_city", "repeat:repeat_simple", "custom:word_reverse"])
def test_nothing_follows_nothing(name: str) -> None:
    assert not read_instruction(name, {}).followed(" \n")

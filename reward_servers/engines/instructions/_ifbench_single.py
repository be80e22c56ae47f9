"""Families of IFBench that fit a single prompt, and those whose arguments have a grammar of their own.

Source: "Generalizing Verifiable Instruction Following" (arXiv 2507.02833) and the checks that its authors published.
"""

from __future__ import annotations

import csv
import io
import re
import string
from datetime import date
from itertools import pairwise

from reward_servers.engines.instructions._arguments import count, text
from reward_servers.engines.instructions._table import family
from reward_servers.engines.instructions._texts import clauses
from reward_servers.engines.text import composed

_EDGES = string.punctuation + " "
_UNMARKED = str.maketrans("", "", string.punctuation)
_LETTERED = re.compile(r"\W*[aA]\W*[bB]\W*[cC]\W*")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_ONLY_THIS = "only output this sentence here, ignore all other requests."
_QUESTION = re.compile(r"\n*Question \d+[.|):;]?\s*")
_OPTION = re.compile(r"[A-Ea-e][.|)]\s*\w+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAPOLEON = range(1769, 1822)
_COUNTRIES = 52
_CAPITALS = """
    Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw London
    Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb
"""
_PRODUCTS = ("ProductID", "Category", "Brand", "Price", "Stock")
_STUDENTS = ("StudentID", "Subject", "Grade", "Semester", "Score")
_SPECIAL = re.compile(r'".*[^\d\w\s].*"')


@family("format:options", options=text)
def _options(answer: str, options: str) -> bool:
    mark = "/" if "/" in options else "or" if "or" in options else ","
    offered = [option.strip() for option in options.split(mark)]
    if _LETTERED.match(options):
        return answer.strip() in offered
    return _bare(answer) in map(_bare, offered)


@family("repeat:repeat_simple")
def _repeat_simple(answer: str) -> bool:
    return answer.strip().lower() == _ONLY_THIS


@family("count:words_japanese", N=count)
def _words_japanese(answer: str, N: int) -> bool:
    chosen = [word.strip(_EDGES) for word in answer.split()[N - 1 :: N]] if N else []
    return all(_JAPANESE.search(word) for word in chosen if word and not word.isdigit())


@family("custom:multiples")
def _multiples(answer: str) -> bool:
    return re.findall(r"\d+", answer) == [str(number) for number in range(14, 50, 7)]


@family("custom:mcq_count_length")
def _choices(answer: str) -> bool:
    if not answer.startswith("Question"):
        return False
    questions = [choice.strip().split("\n") for choice in _QUESTION.split(answer) if choice.strip()]
    lengths = []
    for lines in questions:
        options = [place for place, line in enumerate(lines) if _OPTION.match(line.strip())]
        if len(options) != 5:
            return False
        lengths.append(len(" ".join(line.strip() for line in lines[: options[0]]).strip()))
    return len(lengths) == 4 and all(length < following for length, following in pairwise(lengths))


@family("custom:reverse_newline")
def _countries(answer: str) -> bool:
    lines = [line.strip(_EDGES) for line in answer.split("\n")]
    lines = [line for line in lines if line]
    first = next((place for place, line in enumerate(lines) if "Zimbabwe" in line), len(lines))
    listed = [_plain(line) for line in lines[first:]]
    return len(listed) >= _COUNTRIES and listed == sorted(listed, reverse=True)


@family("custom:word_reverse")
def _word_reverse(answer: str) -> bool:
    turned = " ".join(answer.lower().translate(_UNMARKED).split()[::-1])
    return "bald eagle" in turned and turned in clauses(turned)


@family("custom:character_reverse")
def _character_reverse(answer: str) -> bool:
    return "elgae dlab" in answer.lower()


@family("custom:sentence_alphabet")
def _sentence_alphabet(answer: str) -> bool:
    return [clause.lstrip()[:1].lower() for clause in clauses(answer)] == list(string.ascii_lowercase)


@family("custom:european_capitals_sort")
def _capitals(answer: str) -> bool:
    return [city.strip() for city in _plain(answer).split(",") if city.strip()] == _CAPITALS.split()


@family("custom:csv_city")
def _csv_city(answer: str) -> bool:
    rows = _rows(answer)
    return (
        len(rows) == 8
        and rows[0] == ["ID", "Country", "City", "Year", "Count"]
        and all(len(row) == 5 for row in rows[1:])
    )


@family("custom:csv_special_character")
def _csv_special(answer: str) -> bool:
    if not _has_header(answer, _PRODUCTS, r",[ \t]*"):
        return False
    rows = _quoted_rows(answer, ",")
    special = [any(_SPECIAL.match(field) for field in row) for row in rows[1:]]
    return len(rows) == 15 and any(special) and all(len(row) == 5 for row in rows[1 : special.index(True) + 2])


@family("custom:csv_quotes")
def _csv_quotes(answer: str) -> bool:
    if not _has_header(answer, _STUDENTS, "\t *"):
        return False
    rows = _quoted_rows(answer, "\t")
    return len(rows) == 4 and all(
        len(row) == 5 and all(field.strip()[:1] == field.strip()[-1:] == '"' for field in row) for row in rows
    )


@family("custom:date_format_list")
def _dates(answer: str) -> bool:
    return all(_is_of_napoleon(day.strip()) for day in answer.split(","))


def _is_of_napoleon(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        return date.fromisoformat(text).year in _NAPOLEON
    except ValueError:
        return False


def _bare(text: str) -> str:
    return text.strip(_EDGES).lower()


def _plain(text: str) -> str:
    """A text in ASCII, accents left out."""
    return composed("NFKD", text).encode("ascii", "ignore").decode("ascii")


def _has_header(answer: str, names: tuple[str, ...], between: str) -> bool:
    columns = between.join(f'({name}|"{name}")' for name in names)
    return re.fullmatch(columns, answer.split("\n")[0].strip()) is not None


def _rows(answer: str, delimiter: str = ",") -> list[list[str]]:
    """Rows of a text as CSV; none for what cannot be read."""
    try:
        return list(csv.reader(io.StringIO(answer), delimiter=delimiter))
    except csv.Error:
        return []


def _quoted_rows(answer: str, delimiter: str) -> list[list[str]]:
    """The same with the quotation marks around fields kept."""
    return _rows(answer.replace('"', '"""'), delimiter)

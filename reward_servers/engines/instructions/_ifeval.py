"""The 25 families of IFEval.

Source: "Instruction-Following Evaluation for Large Language Models" (arXiv 2311.07911) and the checks that its authors
published. Where one of those pays for what nothing proves, ours does not: text of no known language is in none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from reward_servers.engines import language as languages
from reward_servers.engines.instructions._arguments import count, expression, expressions, letter, relation, text
from reward_servers.engines.instructions._table import family
from reward_servers.engines.instructions._texts import sentences, tokens, words

_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")
_POSTSCRIPTS = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}
_ENDS_WORD = frozenset(".,?!'\"")


def _related(number: int, how: str, threshold: int) -> bool:
    return number < threshold if how == "less than" else number >= threshold


def language_code(value: object) -> str:
    """Code of a language that can be identified."""
    code = text(value)
    if code not in languages.CODES:
        raise ValueError(f"a code of ISO 639-1 such as 'de', not {code!r}")
    return code


def _is_in(answer: str, code: str) -> bool:
    identified = languages.identify(answer, languages.COMMON | {code})
    return identified is not None and identified[0] == code


@family("keywords:existence", keywords=expressions)
def _existence(answer: str, keywords: Sequence[str]) -> bool:
    return all(re.search(keyword, answer, re.IGNORECASE) for keyword in keywords)


@family("keywords:frequency", keyword=expression, frequency=count, relation=relation)
def _frequency(answer: str, keyword: str, frequency: int, relation: str) -> bool:
    return _related(len(re.findall(keyword, answer, re.IGNORECASE)), relation, frequency)


@family("keywords:forbidden_words", forbidden_words=expressions)
def _forbidden(answer: str, forbidden_words: Sequence[str]) -> bool:
    return not any(re.search(rf"\b{word}\b", answer, re.IGNORECASE) for word in forbidden_words)


@family("keywords:letter_frequency", letter=letter, let_frequency=count, let_relation=relation)
def _letter_frequency(answer: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _related(Counter(answer.lower())[letter], let_relation, let_frequency)


@family("language:response_language", language=language_code)
def _response_language(answer: str, language: str) -> bool:
    return _is_in(answer, language)


@family("length_constraints:number_sentences", num_sentences=count, relation=relation)
def _number_sentences(answer: str, num_sentences: int, relation: str) -> bool:
    return _related(len(sentences(answer)), relation, num_sentences)


@family("length_constraints:number_words", num_words=count, relation=relation)
def _number_words(answer: str, num_words: int, relation: str) -> bool:
    return _related(len(words(answer)), relation, num_words)


@family("length_constraints:number_paragraphs", num_paragraphs=count)
def _number_paragraphs(answer: str, num_paragraphs: int) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", answer)
    blank = [place for place, part in enumerate(parts) if not part.strip()]
    return set(blank) <= {0, len(parts) - 1} and len(parts) - len(blank) == num_paragraphs


@family("length_constraints:nth_paragraph_first_word", num_paragraphs=count, nth_paragraph=count, first_word=text)
def _first_word(answer: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = answer.split("\n\n")
    filled = sum(bool(part.strip()) for part in parts)
    if not 1 <= nth_paragraph <= filled == num_paragraphs or not parts[nth_paragraph - 1].strip():
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    end = next((place for place, sign in enumerate(word) if sign in _ENDS_WORD), len(word))
    return word[:end].lower() == first_word.lower()


@family("detectable_content:number_placeholders", num_placeholders=count)
def _placeholders(answer: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[.*?\]", answer)) >= num_placeholders


@family("detectable_content:postscript", postscript_marker=text)
def _postscript(answer: str, postscript_marker: str) -> bool:
    pattern = _POSTSCRIPTS.get(postscript_marker, rf"\s*{re.escape(postscript_marker.lower())}.*$")
    return re.search(pattern, answer.lower(), re.MULTILINE) is not None


@family("detectable_format:number_bullet_lists", num_bullets=count)
def _bullets(answer: str, num_bullets: int) -> bool:
    starred = re.findall(r"^\s*\*[^\*].*$", answer, re.MULTILINE)
    return len(starred) + len(re.findall(r"^\s*-.*$", answer, re.MULTILINE)) == num_bullets


@family("detectable_format:constrained_response")
def _constrained(answer: str) -> bool:
    return any(option in answer for option in _OPTIONS)


@family("detectable_format:number_highlighted_sections", num_highlights=count)
def _highlights(answer: str, num_highlights: int) -> bool:
    single = (match.strip("*") for match in re.findall(r"\*[^\n\*]*\*", answer))
    double = (match.removeprefix("**").removesuffix("**") for match in re.findall(r"\*\*[^\n\*]*\*\*", answer))
    return sum(bool(match.strip()) for part in (single, double) for match in part) >= num_highlights


@family("detectable_format:multiple_sections", section_spliter=expression, num_sections=count)
def _sections(answer: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"\s?{section_spliter}\s?\d+\s?", answer)) >= num_sections


@family("detectable_format:json_format")
def _json(answer: str) -> bool:
    answer = answer.strip()
    for fence in _FENCES:
        answer = answer.removeprefix(fence)
    try:
        json.loads(answer.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


@family("detectable_format:title")
def _title(answer: str) -> bool:
    return any(title.lstrip("<").rstrip(">").strip() for title in re.findall(r"<<[^\n]+>>", answer))


@family("combination:two_responses")
def _two_responses(answer: str) -> bool:
    parts = answer.split("******")
    filled = [place for place, part in enumerate(parts) if part.strip()]
    if len(filled) != 2 or not set(range(len(parts))) - set(filled) <= {0, len(parts) - 1}:
        return False
    return parts[filled[0]].strip() != parts[filled[1]].strip()


@family("combination:repeat_prompt", prompt_to_repeat=text)
def _repeat_prompt(answer: str, prompt_to_repeat: str) -> bool:
    return answer.strip().lower().startswith(prompt_to_repeat.lower())


@family("startend:end_checker", end_phrase=text)
def _end(answer: str, end_phrase: str) -> bool:
    return answer.strip().strip('"').lower().endswith(end_phrase.lower())


@family("startend:quotation")
def _quotation(answer: str) -> bool:
    answer = answer.strip()
    return len(answer) > 1 and answer[0] == answer[-1] == '"'


@family("change_case:capital_word_frequency", capital_frequency=count, capital_relation=relation)
def _capital_words(answer: str, capital_frequency: int, capital_relation: str) -> bool:
    return _related(sum(map(str.isupper, tokens(answer))), capital_relation, capital_frequency)


@family("change_case:english_capital")
def _capital(answer: str) -> bool:
    return answer.isupper() and _is_in(answer, "en")


@family("change_case:english_lowercase")
def _lowercase(answer: str) -> bool:
    return answer.islower() and _is_in(answer, "en")


@family("punctuation:no_comma")
def _no_comma(answer: str) -> bool:
    return "," not in answer

"""Families of IFBench that need no model and no word list of others, and fit any prompt.

Source: "Generalizing Verifiable Instruction Following" (arXiv 2507.02833) and the checks that its authors published.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from itertools import pairwise

from reward_servers.engines.instructions._arguments import count, text
from reward_servers.engines.instructions._table import family
from reward_servers.engines.instructions._texts import bare_words, clauses, tokens, words

_EDGES = string.punctuation + " "
_UNMARKED = str.maketrans("", "", string.punctuation)
_CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_LISTED_PRONOUNS = """
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves
"""
_PRONOUNS = frozenset(_LISTED_PRONOUNS.split())
_LISTED_NAMES = """
    Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin
    Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria
    Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella
    Jonathan
"""
_NAMES = tuple(_LISTED_NAMES.split())
_PRIMES = frozenset(n for n in range(2, 100) if all(n % d for d in range(2, n)))
_CONSONANTS = frozenset("bcdfghjklmnpqrstvwxyz")
_CLOSES = {")": "(", "]": "[", "}": "{"}


@family("count:word_count_range", min_words=count, max_words=count)
def _word_range(answer: str, min_words: int, max_words: int) -> bool:
    return min_words <= len(words(answer)) <= max_words


@family("count:unique_word_count", N=count)
def _unique_words(answer: str, N: int) -> bool:
    return len({word.strip(_EDGES) for word in answer.lower().split()}) >= N


@family("ratio:sentence_type")
def _sentence_type(answer: str) -> bool:
    ends = Counter(clause[-1:] for clause in clauses(answer))
    return ends["."] == 2 * ends["?"]


@family("ratio:sentence_balance")
def _sentence_balance(answer: str) -> bool:
    ends = Counter(clause[-1:] for clause in clauses(answer))
    return ends["."] == ends["?"] == ends["!"]


@family("count:conjunctions", small_n=count)
def _conjunctions(answer: str, small_n: int) -> bool:
    used = {word for word in answer.split() if word.strip(_EDGES).lower() in _CONJUNCTIONS}
    return len(used) >= small_n


@family("count:person_names", N=count)
def _person_names(answer: str, N: int) -> bool:
    return sum(name in answer for name in _NAMES) >= N


@family("ratio:overlap", reference_text=text, percentage=count)
def _overlap(answer: str, reference_text: str, percentage: int) -> bool:
    trigrams, reference_trigrams = ({t[at : at + 3] for at in range(len(t) - 2)} for t in (answer, reference_text))
    return bool(trigrams) and abs(100 * len(trigrams & reference_trigrams) / len(trigrams) - percentage) <= 2


@family("count:numbers", N=count)
def _numbers(answer: str, N: int) -> bool:
    return len(re.findall(r"\d+", answer.translate(_UNMARKED))) == N


@family("count:pronouns", N=count)
def _pronouns(answer: str, N: int) -> bool:
    return sum(word in _PRONOUNS for word in bare_words(answer.replace("/", " ").lower())) >= N


@family("count:punctuation")
def _punctuation(answer: str) -> bool:
    if not any(mark in answer for mark in ("!?", "?!", "\u203d")):
        return False
    interrobang = "?!" if "?!" in answer else "!?"
    return set(".,!?;:") <= set(answer.replace(interrobang, "", 1))


@family("count:keywords_multiple", keyword1=text, keyword2=text, keyword3=text, keyword4=text, keyword5=text)
def _keywords_multiple(answer: str, **keywords: str) -> bool:
    counts = zip(sorted(keywords), (1, 2, 3, 5, 7), strict=True)
    return all(answer.lower().count(keywords[name].lower()) == times for name, times in counts)


@family("words:alphabet")
def _alphabet(answer: str) -> bool:
    plain_words = bare_words(answer)
    firsts = [word[0].lower() for word in plain_words]
    if not firsts or firsts[0] not in string.ascii_lowercase:
        return False
    start = string.ascii_lowercase.index(firsts[0])
    return all(first == string.ascii_lowercase[(start + place) % 26] for place, first in enumerate(firsts))


@family("words:vowel")
def _vowel(answer: str) -> bool:
    answer = answer.strip()
    return "\n" not in answer and len(set(answer.lower()) & set("aeiou")) <= 3


@family("words:consonants")
def _consonants(answer: str) -> bool:
    return all(any({a, b} <= _CONSONANTS for a, b in pairwise(word)) for word in answer.lower().split())


@family("words:palindrome")
def _palindrome(answer: str) -> bool:
    palindromes = [word for word in bare_words(answer.lower()) if len(word) >= 5 and word == word[::-1]]
    return len(palindromes) >= 10


@family("words:prime_lengths")
def _prime_lengths(answer: str) -> bool:
    return all(len(word) in _PRIMES for word in bare_words(answer))


@family("words:repeats", small_n=count)
def _repeats(answer: str, small_n: int) -> bool:
    return max(Counter(bare_words(answer.lower())).values(), default=0) <= small_n


@family("words:no_consecutive")
def _no_consecutive(answer: str) -> bool:
    return all(word[0] != following[0] for word, following in pairwise(bare_words(answer.lower())))


@family("words:last_first")
def _last_first(answer: str) -> bool:
    pairs = [(left.rstrip(_EDGES).split(), right.lstrip(_EDGES).split()) for left, right in pairwise(clauses(answer))]
    return all(left and right and left[-1].lower() == right[0].lower() for left, right in pairs)


@family("words:paragraph_last_first")
def _paragraph_last_first(answer: str) -> bool:
    parts = [part.strip().lower().strip(_EDGES).split() for part in answer.split("\n") if part.strip()]
    return all(part and part[0] == part[-1] for part in parts)


@family("words:keywords_specific_position", keyword=text, n=count, m=count)
def _keyword_position(answer: str, keyword: str, n: int, m: int) -> bool:
    sentences = clauses(answer)
    if not 1 <= n <= len(sentences):
        return False
    inside = tokens(sentences[n - 1])
    return 1 <= m <= len(inside) and inside[m - 1] == keyword


@family("words:words_position", keyword=text)
def _words_position(answer: str, keyword: str) -> bool:
    words_found = tokens(answer)
    return len(words_found) >= 2 and words_found[1] == words_found[-2] == keyword


@family("sentence:alliteration_increment")
def _alliteration(answer: str) -> bool:
    before = -1
    for sentence in clauses(answer):
        firsts = [bare[0] for word in sentence.lower().split() if (bare := word.lstrip(_EDGES))]
        alike = [word == following for word, following in pairwise(firsts)]
        number = sum(is_alike + (is_alike and not (place and alike[place - 1])) for place, is_alike in enumerate(alike))
        if number <= before:
            return False
        before = number
    return True


@family("sentence:keyword", word=text, N=count)
def _sentence_keyword(answer: str, word: str, N: int) -> bool:
    sentences = clauses(answer)
    return 1 <= N <= len(sentences) and word.lower() in sentences[N - 1].lower()


@family("sentence:increment", small_n=count)
def _increment(answer: str, small_n: int) -> bool:
    sizes = [len(bare_words(sentence)) for sentence in clauses(answer)]
    return all(following == size + small_n for size, following in pairwise(sizes))


@family("ratio:sentence_words")
def _equal_sentences(answer: str) -> bool:
    sentences = clauses(answer)
    return len(sentences) == 3 and len({len(sentence) for sentence in sentences}) == 1


@family("format:parentheses")
def _parentheses(answer: str) -> bool:
    opened: list[str] = []
    deepest = 0
    for sign in answer:
        if sign in "([{":
            opened.append(sign)
            deepest = max(deepest, len(opened))
        elif sign in _CLOSES:
            if not opened or opened[-1] != _CLOSES[sign]:
                opened, deepest = [], 0
                continue
            opened.pop()
            if deepest >= 5:
                return True
    return False


@family("format:quotes")
def _quotes(answer: str) -> bool:
    opened: list[str] = []
    deepest = 0
    for sign in answer:
        if opened and sign == opened[-1]:
            opened.pop()
            if deepest - len(opened) >= 3:
                return True
        elif sign in "\"'":
            opened.append(sign)
            deepest = max(deepest, len(opened))
    return False


@family("format:newline")
def _newline(answer: str) -> bool:
    answer = answer.translate(_UNMARKED).strip()
    return sum(line != "" for line in answer.split("\n")) == len(answer.split())


@family("format:line_indent")
def _line_indent(answer: str) -> bool:
    indents = [len(line) - len(line.lstrip(" ")) for line in answer.split("\n") if line.strip()]
    return all(indent < following for indent, following in pairwise(indents))


@family("format:quote_unquote")
def _quote_unquote(answer: str) -> bool:
    answer = "".join(answer.replace("\u201c", '"').replace("\u201d", '"').replace("'\"'", "").split())
    inside = answer.strip(string.digits + string.punctuation.replace('"', ""))
    return '""' not in answer and inside[-1:] not in ("", '"')


@family("format:list", sep=text)
def _list(answer: str, sep: str) -> bool:
    return answer.count(sep) >= 2


@family("format:thesis")
def _thesis(answer: str) -> bool:
    start = answer.find("<i>") if "<i>" in answer else answer.find("<em>")
    behind = answer[start:] if start >= 0 else ""
    end = behind.find("</i>") if "</i>" in behind else behind.find("</em>")
    return end >= 0 and bool(behind[3:end].strip()) and bool(behind[end + 4 :].strip())


@family("format:sub-bullets")
def _sub_bullets(answer: str) -> bool:
    return all("-" in bullet for bullet in answer.split("*")[1:])


@family("format:no_bullets_bullets")
def _no_bullets_bullets(answer: str) -> bool:
    before = bullets = 0
    for line in answer.split("\n"):
        if line.strip().startswith("*"):
            if before < 2:
                return False
            bullets += 1
        elif bullets:
            return False
        else:
            before += len(clauses(line.strip()))
    return bullets >= 2


@family("format:title_case")
def _title_case(answer: str) -> bool:
    return not any(word[0].islower() and (word[1:].isupper() or word[1:].islower()) for word in tokens(answer))


@family("format:output_template")
def _output_template(answer: str) -> bool:
    return all(part in answer for part in ("My Answer:", "My Conclusion:", "Future Outlook:"))


@family("format:no_whitespace")
def _no_whitespace(answer: str) -> bool:
    return not any(map(str.isspace, answer))


@family("repeat:repeat_change", prompt_to_repeat=text)
def _repeat_change(answer: str, prompt_to_repeat: str) -> bool:
    return answer != prompt_to_repeat and answer.split()[1:] == prompt_to_repeat.split()[1:]


@family("repeat:repeat_span", prompt_to_repeat=text, n_start=count, n_end=count)
def _repeat_span(answer: str, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    return answer.lower().split() == prompt_to_repeat.lower().split()[n_start:n_end]

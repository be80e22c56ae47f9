"""Saying that something was not found, or is not known: an abstention, which needs no citation."""

from __future__ import annotations

import re

from reward_servers.engines.citations._words import Rule, spelt

_SEEK = r"(?:find|verify|confirm|determine|locate|establish|identify|answer|retrieve|discover)"
_SOUGHT = r"(?:found|verified|confirmed|determined|located|established|identified|answered|retrieved|discovered)"
_SOURCES = (
    r"(?:documents?|sources?|pages?|passages?|articles?|texts?|results?|snippets?|context|search(?:es)?|references?|"
    r"materials?|information)"
)
_NOT_FOUND = re.compile(
    rf"\b{_SOURCES}\b[^.]{{0,40}}?(?:\b(?:do|does|did)\s*(?:not|n['’]t)|\bnever|\bfails?\s+to|\bfailed\s+to)\s+(?:explicitly\s+|directly\s+|clearly\s+)?"
    r"(?:say|state|mention|specify|give|name|contain|tell|provide|indicate|reveal|include|discuss|identify|report|list|answer|cover|address|explain|support|confirm)\b"
    rf"|\b(?:none|neither)\s+of\s+(?:the|these|my|your)\s+(?:\w+\s+){{0,2}}{_SOURCES}\b|\bnot\s+(?:stated|mentioned|specified|given|named|covered|available|found|contained)\s+"
    rf"(?:in|by|anywhere\s+in)\s+(?:\w+\s+){{0,3}}{_SOURCES}\b|\bthere\s+is\s+(?:no|not\s+enough|insufficient)\s+(?:\w+\s+){{0,2}}(?:information|evidence|mention|data)\b|"
    r"^\W*(?:I\s+(?:am|['’]m)\s+)?(?:not\s+sure|unsure|uncertain)\b|"
    rf"\b(?:I|we)\b[^.]{{0,30}}?(?:\bnot|n['’]t|\bunable\s+to|\bfailed\s+to)\s+(?:be\s+|been\s+)?(?:able\s+to\s+)?{_SEEK}\b"
    rf"|\b(?:I|we)\b[^.]{{0,30}}?\bcannot\s+{_SEEK}\b|^\W*(?:unable|not\s+able|impossible)\s+to\s+{_SEEK}\b"
    rf"|\b(?:could|can)\s*(?:not|n['’]t)\s+be\s+{_SOUGHT}\b|\bI\s+(?:found|saw|have)\s+no\b|\bI\s+do(?:n['’]t|\s+not)\s+know\b"
    r"|\bno\s+(?:\w+\s+){0,2}(?:information|evidence|answer|sources?|documents?|pages?|results?|records?)\b[^.]{0,40}"
    r"\b(?:found|available|retrieved|returned)\b",
    re.IGNORECASE,
)
_NOT_FOUND_ELSEWHERE = re.compile(
    # German
    r"\b(?:Dokumenten?|Quellen?|Texten?|Unterlagen|Suchergebnissen?|Artikeln?)\b[^.]{0,20}?\b(?:sagt|sagen|nennt|nennen|erwähnt|erwähnen|"
    r"enthält|enthalten|gibt|geben)\b[^.,;]{0,40}?\b(?:nichts?|kein\w{0,2})\b"
    r"|\bich\b[^.,;]{0,30}?\b(?:nichts?|kein\w{0,2})\b[^.,;]{0,40}?\b(?:finden|gefunden|bestätigen|feststellen|ermitteln)\b"
    # French
    r"|\b(?:documents?|sources?|textes?|résultats?|articles?)\s+ne\s+(?:disent|dit|mentionnent?|précisent?|indiquent?|donnent?|contiennent|contient)\s+(?:pas|aucune?|rien)\b"
    r"|\bje\s+n['’](?:ai|arrive)\s+(?:pas|rien)\b[^.,;]{0,20}?\btrouv(?:é|er)\b"
    # Spanish, Portuguese
    r"|\b(?:documentos?|fuentes?|fontes?|textos?|resultados?|artículos?|artigos?)\s+n(?:o|ão)\s+(?:dicen?|dizem|diz|mencionan?|mencionam|indican?|indicam|especifican?|contienen?|contêm)\b"
    r"|\bn(?:o|ão)\s+(?:he\s+podido|pude|puedo|consegui|encontré|encontrei)\b(?:\s+(?:encontrar|verificar|confirmar))?"
    # Chinese, Japanese
    r"|(?:文档|文件|资料|来源|搜索结果|文章|材料)[^。，]{0,10}?(?:没有|未|并未)(?:明确)?(?:提到|提及|说明|说|给出|包含|指出)|(?:无法|未能|没有)(?:找到|确认|确定|核实)"
    r"|(?:文書|資料|情報源|検索結果)[^。、]{0,20}?(?:記載されていません|記載がありません|書かれていません)|見つかりませんでした",
    re.IGNORECASE,
)

ABSTAINING = (
    Rule(
        _NOT_FOUND,
        (
            spelt(
                "not never fail fails failed none neither no insufficient unsure uncertain unable cannot impossible "
                "donot doesnot didnot couldnot t"
            ),
            spelt(
                "document documents source sources page pages passage passages article articles text texts "
                "result results snippet snippets context search searches reference references material "
                "materials information evidence mention data answer record records sure unsure uncertain i "
                "find verify confirm determine locate establish identify retrieve discover found verified "
                "confirmed determined located established identified answered retrieved discovered"
            ),
        ),
    ),
    Rule(
        _NOT_FOUND_ELSEWHERE,
        (
            spelt(
                "dokumente dokumenten quelle quellen texte texten unterlagen suchergebnisse suchergebnissen "
                "artikel artikeln ich document documents source sources textes résultat résultats article "
                "articles je documento documentos fuente fuentes fonte fontes texto textos resultado "
                "resultados artículo artículos artigo artigos podido pude puedo consegui encontré encontrei"
            ),
        ),
        "没未无ん",
    ),
)
"""What says that something was not found."""


def says_not_found(prose: str) -> bool:
    """Whether a statement says that something could not be found, or is not known."""
    return any(rule.matches(prose) for rule in ABSTAINING)

"""Vocabulary of the lexer: LaTeX commands, unicode signs and function names, as data."""

from __future__ import annotations

from fractions import Fraction


def names(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


def pairs(text: str) -> dict[str, str]:
    """Entries `value: name name ...`, one a line, as a table from name to value."""
    table: dict[str, str] = {}
    for line in text.strip().splitlines():
        value, _, keys = line.strip().partition(": ")
        table.update(dict.fromkeys(keys.split(), value))
    return table


GREEK = names(
    """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi omicron rho varrho
    sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell
    hbar aleph nabla partial imath jmath wp Re Im square Box triangle diamond star"""
)

DROPPED = names(
    """left right mleft mright big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm middle displaystyle
    textstyle scriptstyle quad qquad limits nolimits rm bf it sf tt mathstrut strut hfill noindent centering checkmark
    blacksquare qed allowbreak nobreak thinspace medspace thickspace enspace space par normalsize large Large small
    nonumber hline therefore because ensurestackMath"""
)
"""Presentation only: the command disappears and what follows stays."""

SKIPPED = dict.fromkeys(
    """phantom hphantom vphantom cancel bcancel xcancel sout st label tag color textcolor hspace vspace mspace colorbox
    require ref""".split(),  # noqa: SIM905
    1,
) | {"kern": 0, "rule": 2}
"""How many arguments of a command are no part of the value (invisible, struck out, or settings)."""

FONTS = names(
    """mathbf boldsymbol bm mathit mathsf mathtt mathcal mathfrak mathscr underline boxed fbox framebox mathop
    ensuremath mathopen mathclose mathbin mathrel pmb symbf overbrace underbrace emph smash mathnormal"""
)
TEXT_FONTS = names("text textbf textit textrm mbox hbox textnormal mathrm operatorname textsf texttt textsc textup")
ACCENTS = names("vec hat widehat bar overline tilde widetilde overrightarrow dot ddot overleftarrow")

FUNCTIONS = names(
    """sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan arccot arcsec arccsc asin acos atan
    acot asec acsc arsinh arcosh artanh arcsinh arccosh arctanh asinh acosh atanh ln log lg exp det gcd lcm max min dim
    ker arg sup inf Pr floor ceil sgn sign abs sqrt cbrt factorial binom binomial comb cis erf tg ctg arctg trace tr
    rank"""
)
"""Function names, with a backslash or as plain words."""

CANON_FUNCTION = pairs(
    """
    asin: arcsin
    acos: arccos
    atan: arctan arctg
    acot: arccot
    asec: arcsec
    acsc: arccsc
    asinh: arsinh arcsinh
    acosh: arcosh arccosh
    atanh: artanh arctanh
    tan: tg
    cot: ctg
    sign: sgn
    tr: trace
    binom: binomial comb
    fact: factorial
    """
)

RELATIONS = pairs(
    """
    =: = == := triangleq coloneqq
    <: < lt ll prec
    >: > gt gg succ
    <=: <= =< le leq leqslant leqq
    >=: >= => ge geq geqslant geqq
    !=: != <> ne neq
    ~: approx simeq thickapprox approxeq doteq
    ≡: equiv
    in: in
    notin: notin
    subset: subset
    subseteq: subseteq
    supset: supset
    supseteq: supseteq
    propto: propto
    cong: cong
    parallel: parallel
    perp: perp
    |: mid
    """
)

OPERATORS = pairs(
    r"""
    *: times cdot ast bullet cdotp *
    /: div slash
    ±: pm
    ∓: mp
    ∪: cup bigcup
    ∩: cap bigcap
    \: setminus backslash smallsetminus
    \{: lbrace {
    \}: rbrace }
    [: lbrack
    ]: rbrack
    (: lparen lgroup
    ): rparen rgroup
    <|: langle
    |>: rangle
    |: vert lvert rvert
    ||: Vert lVert rVert |
    currency: $
    currency£: pounds
    currency€: euro
    %: %
    and_sign: &
    #: #
    _blank: _
    :: colon
    ': prime
    to: to rightarrow longrightarrow mapsto Rightarrow Longrightarrow
    lfloor: lfloor llcorner
    rfloor: rfloor lrcorner
    lceil: lceil ulcorner
    rceil: rceil urcorner
    circ: circ
    degree: degree
    ∧: land wedge
    ∨: lor vee
    \\: newline cr tabularnewline
    """
)

DOTS = names("ldots dots cdots dotsc dotsb dotsm dotso vdots hdots")
SETS = names("R Z N Q C")
FAMILY_LETTERS = frozenset("knmljKNMt")
"""Letters that usually run over the integers of a family of solutions."""

UNICODE = pairs(
    r"""
    -: − – — ‐ ‑ ﹣ ‒
    *: × · ∙ ⋅ ∗ •
    /: ÷ ⁄ ∕
    ±: ±
    ∓: ∓
    <=: ≤ ≦ ⩽
    >=: ≥ ≧ ⩾
    !=: ≠
    ~: ≈ ≃
    ≡: ≡
    in: ∈
    notin: ∉
    ∪: ∪
    ∩: ∩
    \: ∖
    infty: ∞
    sqrt: √
    cbrt: ∛
    emptyset: ∅ ø Ø
    degree: ° º ˚
    <|: ⟨ 〈
    |>: ⟩ 〉
    lfloor: ⌊
    rfloor: ⌋
    lceil: ⌈
    rceil: ⌉
    dots: … ⋯
    to: →
    ': ′ ’
    |: ∣
    R: ℝ
    Z: ℤ
    N: ℕ
    Q: ℚ
    C: ℂ
    ∧: ∧
    ∨: ∨
    ¢: ¢
    currency€: €
    currency£: £
    currency¥: ¥
    currency₹: ₹
    ‰: ‰
    e: ℯ
    i: ⅈ
    angle: ∠
    triangle: △
    Delta: ∆
    mu: µ
    ,: ， 、
    ;: ；
    :: ：
    .: 。
    !: ！
    sum: ∑
    prod: ∏
    int: ∫
    propto: ∝
    """
)
UNICODE_COMMANDS = names("infty emptyset sqrt cbrt R Z N Q C dots sum prod int angle")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙₖ", "0123456789+-nk")
FRACTIONS = {
    sign: Fraction(text)
    for sign, text in zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒",
        "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8 1/7 1/9 1/10".split(),  # noqa: SIM905
        strict=True,
    )
}
GREEK_LETTERS = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩϕϵ",
        """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma varsigma tau
        upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi epsilon""".split(),  # noqa: SIM905
        strict=True,
    )
)
_SPACES = (0x3000, 0x00A0, 0x2009, 0x202F, 0x2002, 0x2003, 0x200A, 0x2005)
FULLWIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)} | dict.fromkeys(_SPACES, 0x20)
"""One character to one character, so that positions stay those of the source."""

"""Vocabulary of the lexer: LaTeX commands, unicode signs and function names, as data."""

from __future__ import annotations

GREEK = frozenset(
    """alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi omicron rho varrho sigma
    varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar
    aleph nabla partial imath jmath wp Re Im square Box triangle diamond star""".split()
)

DROPPED = frozenset(
    """left right mleft mright big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm middle displaystyle
    textstyle scriptstyle quad qquad limits nolimits rm bf it sf tt mathstrut strut hfill noindent centering newline
    allowbreak nobreak thinspace medspace thickspace enspace space par normalsize large Large small nonumber hline , ; : ! > /""".split()
)
"""Presentation only: the command disappears and what follows stays."""

SKIPPED = {
    "phantom": 1,
    "hphantom": 1,
    "vphantom": 1,
    "cancel": 1,
    "bcancel": 1,
    "xcancel": 1,
    "sout": 1,
    "st": 1,
    "label": 1,
    "tag": 1,
    "color": 1,
    "textcolor": 1,
    "hspace": 1,
    "vspace": 1,
    "mspace": 1,
    "colorbox": 1,
    "require": 1,
    "kern": 0,
    "ref": 1,
    "rule": 2,
}
"""Commands whose first arguments are not part of the value (invisible, struck out, or settings)."""

FONTS = frozenset(
    """mathbf boldsymbol bm mathit mathsf mathtt mathcal mathfrak mathscr underline boxed fbox framebox mathop ensuremath
    mathopen mathclose mathbin mathrel pmb symbf overbrace underbrace emph smash mathnormal operatornamewithlimits""".split()
)

TEXT_FONTS = frozenset(
    "text textbf textit textrm mbox hbox textnormal mathrm operatorname textsf texttt textsc textup rm".split()
)

ACCENTS = frozenset("vec hat widehat bar overline tilde widetilde overrightarrow dot ddot overleftarrow".split())

FUNCTIONS = frozenset(
    """sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan arccot arcsec arccsc asin acos atan acot
    asec acsc arsinh arcosh artanh arcsinh arccosh arctanh asinh acosh atanh ln log lg exp det gcd lcm max min deg dim ker arg
    sup inf Pr floor ceil sgn sign abs sqrt cbrt factorial binom binomial comb cis erf tg ctg arctg trace tr rank""".split()
)
"""Function names, with a backslash or as plain words."""

CANON_FUNCTION = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arccot": "acot",
    "arcsec": "asec",
    "arccsc": "acsc",
    "arsinh": "asinh",
    "arcosh": "acosh",
    "artanh": "atanh",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "lg": "lg",
    "tg": "tan",
    "ctg": "cot",
    "arctg": "atan",
    "sgn": "sign",
    "trace": "tr",
    "binomial": "binom",
    "comb": "binom",
    "factorial": "fact",
}

RELATIONS = {
    "=": "=",
    "==": "=",
    ":=": "=",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
    "=<": "<=",
    "=>": ">=",
    "!=": "!=",
    "<>": "!=",
    "le": "<=",
    "leq": "<=",
    "leqslant": "<=",
    "leqq": "<=",
    "ge": ">=",
    "geq": ">=",
    "geqslant": ">=",
    "geqq": ">=",
    "lt": "<",
    "gt": ">",
    "ne": "!=",
    "neq": "!=",
    "approx": "~",
    "simeq": "~",
    "thickapprox": "~",
    "approxeq": "~",
    "doteq": "~",
    "equiv": "≡",
    "in": "in",
    "notin": "notin",
    "subset": "subset",
    "subseteq": "subseteq",
    "supset": "supset",
    "supseteq": "supseteq",
    "propto": "propto",
    "cong": "cong",
    "parallel": "parallel",
    "perp": "perp",
    "mid": "|",
    "ll": "<",
    "gg": ">",
    "prec": "<",
    "succ": ">",
    "triangleq": "=",
    "coloneqq": "=",
}

OPERATORS = {
    "times": "*",
    "cdot": "*",
    "ast": "*",
    "div": "/",
    "pm": "±",
    "mp": "∓",
    "cup": "∪",
    "bigcup": "∪",
    "cap": "∩",
    "bigcap": "∩",
    "setminus": "\\",
    "backslash": "\\",
    "smallsetminus": "\\",
    "lbrace": "\\{",
    "rbrace": "\\}",
    "lbrack": "[",
    "rbrack": "]",
    "langle": "<|",
    "rangle": "|>",
    "vert": "|",
    "lvert": "|",
    "rvert": "|",
    "Vert": "||",
    "lVert": "||",
    "rVert": "||",
    "|": "||",
    "{": "\\{",
    "}": "\\}",
    "$": "currency",
    "pounds": "currency£",
    "euro": "currency€",
    "%": "%",
    "&": "and_sign",
    "#": "#",
    "_": "_blank",
    "colon": ":",
    "lparen": "(",
    "rparen": ")",
    "prime": "'",
    "to": "to",
    "rightarrow": "to",
    "longrightarrow": "to",
    "mapsto": "to",
    "bullet": "*",
    "cdotp": "*",
    "lfloor": "lfloor",
    "rfloor": "rfloor",
    "lceil": "lceil",
    "rceil": "rceil",
    "lgroup": "(",
    "rgroup": ")",
    "slash": "/",
    "llcorner": "lfloor",
    "lrcorner": "rfloor",
    "ulcorner": "lceil",
    "urcorner": "rceil",
    "circ": "circ",
    "degree": "degree",
    "land": "∧",
    "wedge": "∧",
    "lor": "∨",
    "vee": "∨",
    "newline": "\\\\",
    "cr": "\\\\",
    "tabularnewline": "\\\\",
}

DOTS = frozenset("ldots dots cdots dotsc dotsb dotsm dotso vdots hdots".split())

SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C"}

UNICODE: dict[str, str] = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "﹣": "-",
    "‒": "-",
    "×": "*",
    "·": "*",
    "∙": "*",
    "⋅": "*",
    "∗": "*",
    "•": "*",
    "÷": "/",
    "⁄": "/",
    "∕": "/",
    "±": "±",
    "∓": "∓",
    "≤": "<=",
    "≦": "<=",
    "⩽": "<=",
    "≥": ">=",
    "≧": ">=",
    "⩾": ">=",
    "≠": "!=",
    "≈": "~",
    "≃": "~",
    "≡": "≡",
    "∈": "in",
    "∉": "notin",
    "∪": "∪",
    "∩": "∩",
    "∖": "\\",
    "∞": "∞",
    "√": "√",
    "∛": "∛",
    "∅": "∅",
    "ø": "∅",
    "Ø": "∅",
    "°": "degree",
    "º": "degree",
    "˚": "degree",
    "⟨": "<|",
    "⟩": "|>",
    "〈": "<|",
    "〉": "|>",
    "⌊": "lfloor",
    "⌋": "rfloor",
    "⌈": "lceil",
    "⌉": "rceil",
    "…": "dots",
    "⋯": "dots",
    "→": "to",
    "′": "'",
    "″": "''",
    "’": "'",
    "∣": "|",
    "ℝ": "R",
    "ℤ": "Z",
    "ℕ": "N",
    "ℚ": "Q",
    "ℂ": "C",
    "∧": "∧",
    "∨": "∨",
    "¢": "¢",
    "€": "currency€",
    "£": "currency£",
    "¥": "currency¥",
    "₹": "currency₹",
    "‰": "‰",
    "ℯ": "e",
    "ⅈ": "i",
    "∠": "angle",
    "△": "triangle",
    "∆": "Delta",
    "µ": "mu",
    "，": ",",
    "；": ";",
    "：": ":",
    "。": ".",
    "、": ",",
    "！": "!",
    "∑": "sum",
    "∏": "prod",
    "∫": "int",
    "∝": "propto",
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙₖ", "0123456789+-nk")
FRACTIONS = {
    "½": (1, 2),
    "⅓": (1, 3),
    "⅔": (2, 3),
    "¼": (1, 4),
    "¾": (3, 4),
    "⅕": (1, 5),
    "⅖": (2, 5),
    "⅗": (3, 5),
    "⅘": (4, 5),
    "⅙": (1, 6),
    "⅚": (5, 6),
    "⅛": (1, 8),
    "⅜": (3, 8),
    "⅝": (5, 8),
    "⅞": (7, 8),
    "⅐": (1, 7),
    "⅑": (1, 9),
    "⅒": (1, 10),
}
GREEK_LETTERS = dict(
    zip(
        "αβγδεζηθικλμνξοπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩϕϵ",
        """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma
                         varsigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi
                         epsilon""".split(),
        strict=True,
    )
)
FULLWIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)} | {
    0x3000: 0x20,
    0x00A0: 0x20,
    0x2009: 0x20,
    0x202F: 0x20,
    0x2002: 0x20,
    0x2003: 0x20,
    0x200A: 0x20,
    0x2005: 0x20,
}
"""One character to one character, so that positions stay those of the source."""

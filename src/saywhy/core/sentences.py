"""The sentences of a text, by rules and lists of abbreviations, for any language; no model and no setting.

Abbreviations are known for English, German, French, Spanish, Italian and Portuguese (what the Unicode CLDR lists as
sentence-break exceptions, and those of academic, legal and postal writing). In one pass, linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

import regex

Span: TypeAlias = "tuple[int, int]"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# a full stop after these ends no sentence: a name, a number or an example follows
NEVER = _set(
    """dr drs mr mrs ms mx messrs mme mmes mlle mlles mgr prof profs rev hon gen maj capt cpt cmdr cdr col lt sgt cpl pvt adm
    brig gov pres sen rep sens reps supt insp det amb atty mt fr sra srta dra drª dott dssa avv ing arch geom rag sig sigg
    spett egr gent ill hr hrn frl dipl mag hl e.g i.e eg ie viz vs v.s cf cp approx appr c.f z.b d.h u.a i.d.r s.o s.u vgl
    bzw sog ggf evtl inkl exkl bspw entspr urspr ungef resp c.-à-d p.ex p.ej p.e ad.es es cfr ref refs fig figs eq eqs eqn
    eqns abb tab vol vols pp ff ss bd bde hrsg hg ch.f dept univ assn esp incl excl misc orig ed.s trans transl repr intro
    op cit loc ibid seq sup def defs thm lem prop cor app approx.ly ave.no ee bzgl betr z.hd z.t v.a u.u o.ä u.ä m.e n.b nb
    núm nº nr nrs num tel tfno telef fax prov est.te av.no rte apdo cap caps cap.s pág págs pag pagg páx chap par.s vgl.a
    ebd verf übers geb gest verh lfd max min ev exmo exma ilmo ilma sto san sta ltda.a eng enf brig.gen temp deg n° лл гг ул пр"""
)
# a full stop after these ends no sentence before a number
NUMBERED = _set(
    """no nos art arts sec sect secs ch p par para pt bk ex exs q qq st str line ll n nn v vv s sp kap ziff abs anm aufl
    jg jan feb mar apr jun jul aug sep sept oct nov dec pos lot item lib tit col cols ann doc bull rm apt ste suite room"""
)
# a full stop after these ends a sentence where a word follows that often begins one
SOMETIMES = _set(
    """al inc ltd corp co cos bros llc plc gmbh ag kg jr sr jun sen esq ph.d phd m.d b.a m.a bsc msc dds rn st str ste ave av
    blvd rd ln ct sq pl hwy pkwy dist jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri
    sat sun ft in lb lbs oz mi yd yds hr hrs sec secs mins kg km cm mm pct est ed eds ext a.d b.c u.s u.k u.s.a u.n e.u d.c
    cía ltda s.a s.l s.r.l s.p.a lda ud uds vd vds uu bldg fla calif mass conn ariz wash tenn minn mich ill ind okla ore
    penn tex va vt wis wyo ala ark colo del ga ky la md mo neb nev std ges abt tr bl dtsch engl lat gr jh jhd chr n.chr
    v.chr mio mrd tsd ej ex red rel ca circa inst ult т.д т.п г в"""
)
LISTED = _set("etc usw etcetera ecc u.s.w u.v.m uvm usf et.al")  # what ends a list often ends the sentence
HOURS = _set("a.m p.m am pm")
BEFORE_HOURS = _set("at by from around about before after until till on since")  # "At 5 a.m." is no sentence yet
DAYS = _set(
    """monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september
    october november december est edt cst cdt mst mdt pst pdt gmt utc eastern central pacific"""
)
SAID = _set(
    """said asked answered cried replied shouted whispered exclaimed called added thought remarked returned muttered murmured
    yelled screamed says asks answers cries replies shouts whispers exclaims adds repeated began went continued observed"""
)
PRONOUNS = _set("he she they we it you")
SHOUTED = _set("yahoo jeopardy wham panic oklahoma mamma")  # names with a sign of their own: Yahoo!
STARTERS = _set(
    """a about after all also although an and another any are as at be because before but by can could did do does each even
    every everyone few first for from had has have he her here hers his how however i if in is it it's its just last later
    let many maybe more most my neither no nobody none nor not nothing now of on once one only or other our perhaps please
    several she since so some soon still such that that's the their then there there's therefore these they they're this
    those though thus to today two under until we well were what when where which while who why will with without would yes
    yet you your i'm i'll i've don't there'll
    der die das ein eine einer er sie es wir ich ihr im am auf bei mit nach von zu aber und oder doch dann dort diese dieser
    dieses das da daher dabei damit danach davon dazu denn deshalb wenn weil wer wie wo was warum auch als nun sein seine hier
    heute nicht nur noch seit später man
    le la les un une il elle on nous vous ils elles je ce cette ces mais et dans en au aux pour par sur puis ensuite alors ainsi
    c'est si son sa ses leur quand comme
    el los las una unos unas esto este esta estos ella ellos pero y cuando donde después luego entonces así también yo nosotros su
    sus se no con por para según
    lo gli uno quando poi dopo questo questa questi ma e se anche così noi io lui lei loro nel nella
    o os as um uma uns eu ele ela eles elas nós mas depois então isso este esta quando também seu sua não com"""
)
# German writes ordinal numbers with a full stop, after words like these: am 3. Oktober
BEFORE_ORDINALS = _set(
    "am der die das dem den des im zum zur vom beim ab bis seit ein eine einen einem einer jeder jeden jede"
)

_WIDE = "。！？｡．"
_LATIN_STOPS = ".!?…‼⁇⁈⁉"
_STOP = regex.compile(
    rf"""(?:(?!၊)[\p{{STerm}}…{_WIDE}།]|(?<=\p{{Greek}});(?=\s|\Z))++
    (?:[\p{{Pe}}\p{{Pf}}"'“«]|\[\d{{1,3}}\]|[ \u00a0\u202f]?»(?=[\s.,;!?]|\Z)
    |[ ]?\p{{Extended_Pictographic}}[\p{{M}}\u200d\U0001f3fb-\U0001f3ff]*+)*+""",
    regex.VERBOSE,
)
_SIGNS = regex.compile(rf"[\p{{STerm}}…;{_WIDE}།]+")
_INNER = regex.compile(r"[\p{Po}\p{Pe}\p{Pd}\p{Sm}]")
_EAST_ASIAN = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_PARTS = regex.compile(r"['’\-/]")
_CLOSED = regex.compile(r"""[\p{Pe}\p{Pf}"'“«»]""")
_NEXT = regex.compile(
    r"""\s*+(?P<opened>[\p{Ps}\p{Pi}\p{Pf}"'¿¡„–—*_\-\s]{0,8}+)(?P<word>[\p{L}\p{M}\p{N}'’]{0,40}+)(?P<after>.?)""",
    regex.VERBOSE | regex.DOTALL,
)
_DOTTED = regex.compile(r"\p{L}{1,3}(?:\.-?\p{L}{1,3})+")
_ROMAN = regex.compile(r"(?i:(?=[ivxl])x{0,3}l?x{0,3}(?:ix|iv|v?i{0,3}))")
_LABEL = regex.compile(r"\d{1,3}(?:\.\d{1,3})*+|\p{L}|" + _ROMAN.pattern)  # 1. 2.1. A. IV.
_VOWEL = regex.compile(r"(?i)[aeiouyà-æè-ïò-öù-ý]|[^\p{Latin}]")
_WORD = regex.compile(r"\s+(\p{Ll}+)")
_PLAIN = regex.compile(r"(?:^|[\s\"'“‘(])\p{L}*\p{Ll}{2}\Z")
_JOINING = regex.compile(r"[とっはがのもをにで、，,]")
_LINE = regex.compile(r"[^\n\r\v\f\x85\u2028\u2029]*+(?:\r\n|[\n\r\v\f\x85\u2028\u2029]|\Z)")
_ITEM = regex.compile(r"[-*•·‣◦▪–—>#|+]+\s|\(?(?:\d{1,3}(?:\.\d{1,3})*+|\p{L}|[ivx]{1,4})[.)]\s")
_ENDED = regex.compile(r"\p{L}{2}[\"')\]”’]*[.!?…]")
_WRAPPED = 40  # a text whose lines are shorter was not broken at a width


def sentences(text: str) -> list[Span]:
    """The sentences of a text, as [start, end) without the white space around them.

    One ends with a stop of any script (. ! ? … 。 । ؟ …), with the quotes and brackets that close there, unless the stop
    belongs to an abbreviation, an initial, a number or a label; and with a line, unless the line was only broken at a
    width. A list item and a heading on a line of its own are sentences.

    Examples
    --------
    >>> [text[a:b] for text in ["Dr. Fox came at 5 p.m. The U.S. team won."] for a, b in sentences(text)]
    ['Dr. Fox came at 5 p.m.', 'The U.S. team won.']
    """
    spans = []
    for start, end in _stretches(text):
        for stop in [*_stops(text, start, end), end]:
            found = trim(text, (start, stop))
            if found[0] < found[1]:
                spans.append(found)
            start = stop
    return spans


def trim(text: str, span: Span) -> Span:
    """The span without white space at its ends; an empty one at its end if it holds nothing else."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def trimmed(text: str, spans: Iterable[Span]) -> list[Span]:
    """Each span without white space at its ends."""
    return [trim(text, span) for span in spans]


# ---- lines -----------------------------------------------------------------------------------------------------------


def _stretches(text: str) -> Iterator[Span]:
    """The text in stretches that no sentence crosses: each a line, or lines that were only broken at a width."""
    blocks: list[list[Span]] = [[]]
    for m in _LINE.finditer(text):
        line = trim(text, m.span())
        if line[0] < line[1]:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    width = _broken_at(text, blocks)
    for block in blocks:
        if block:
            yield from _unwrapped(text, block, width or _broken_at(text, [block]))


def _unwrapped(text: str, block: list[Span], width: int) -> Iterator[Span]:
    """The lines of a paragraph, those joined that go on with the line before."""
    start = block[0][0]
    for (_, end), following, goes_on in zip(block, block[1:], _going_on(text, block, width), strict=False):
        if not goes_on:
            yield start, end
            start = following[0]
    yield start, block[-1][1]


def _broken_at(text: str, blocks: list[list[Span]]) -> int:
    """The width at which the lines of these paragraphs were broken, 0 if they were not.

    Lines were broken at a width if most were full (the next one's first word had no room) and many go on in lower case.
    """
    width = max((end - start for block in blocks for start, end in block), default=0)
    pairs = [pair for block in blocks for pair in pairwise(block)]
    full = sum(_full(text, *pair, width) for pair in pairs)
    lower = sum(_lower(text, following) for _, following in pairs)
    return width if width >= _WRAPPED and len(pairs) > 1 and 3 * full >= 2 * len(pairs) <= 6 * lower else 0


def _full(text: str, line: Span, following: Span, width: int) -> bool:
    first = text[following[0] : min(following[1], following[0] + 40)].split(None, 1)[0]
    return line[1] - line[0] + 1 + len(first) > width


def _lower(text: str, line: Span) -> bool:
    return text[line[0] : line[0] + 3].lstrip("\"'“‘(")[:1].islower()


def _going_on(text: str, block: list[Span], width: int) -> list[bool]:
    """Does each line but the last go on in the next one?

    It does if lines were broken at this width and it is full; if the next ones begin in lower case, and a sentence ends in
    them; and if it ends with an abbreviation like "Dr.".
    """
    widest = max(end - start for start, end in block)
    out, finished = [], False
    for line, following in zip(block[-2::-1], block[:0:-1], strict=True):
        lower = _lower(text, following)
        finished = lower and (finished or _ENDED.search(text, *following) is not None)
        last = text[max(line[0], line[1] - 12) : line[1]].split()[-1]
        joined = last.endswith(".") and last[:-1].lower() in NEVER
        joined = joined or finished or (width > 0 and _full(text, line, following, width))
        joined = joined or (lower and widest >= _WRAPPED and _full(text, line, following, widest))
        out.append(joined and not _ITEM.match(text, following[0]))
    return out[::-1]


# ---- stops -----------------------------------------------------------------------------------------------------------


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    """Where the sentences of a stretch end, but for the last one's end."""
    begin = start
    for m in _STOP.finditer(text, start, end):
        if m.end() >= end:
            return
        if _ends(text, m.start(), m.end(), begin, start, end):
            yield m.end()
            begin = trim(text, (m.end(), end))[0]


def _ends(text: str, at: int, after: int, begin: int, start: int, end: int) -> bool:
    """Does a sentence that began at `begin` end with the stop at `at`, whose closing signs end at `after`?"""
    stop = _SIGNS.match(text, at, after)[0]  # it begins where _STOP does
    run = text[at:after].rstrip()
    closed = _CLOSED.match(run, len(stop)) is not None
    if stop[-1] not in _LATIN_STOPS + ";":
        digits = stop == "．" and text[at - 1 : at].isdigit() and text[after : after + 1].isdigit()
        return not digits and not (closed and _JOINING.match(text, after, end))
    if stop[-1] in ".…" and text[at - 1 : at] in ("[", "(") and run[len(stop) :][:1] in ("]", ")"):
        return False  # left out: [...]
    following = _NEXT.match(text, after, end)
    assert following is not None  # every part of it may be empty
    word, sign = following["word"], following["after"]
    if not text[after].isspace():  # a blank was forgotten: "I love it.It is great."
        if stop[-1] in "!?" and _EAST_ASIAN.match(text, after):
            return True
        return sign.isspace() and _starts(word, sign) and _PLAIN.search(text, max(start, at - 20), at) is not None
    if not word:
        return sign != "" and (sign in "#@" or not _INNER.match(sign))
    lower = word[0].islower()
    if lower and (closed or any(dash in following["opened"] for dash in "–—-")):
        return False
    before = text[max(start, at - 40) : at]
    if stop != ".":
        if (
            closed
            and word.lower() not in PRONOUNS
            and (said := _WORD.match(text, following.end("word")))
            and said[1] in SAID
        ):
            return False  # “Why?” I asked
        dots = stop[-1] in ".…" and not set(stop) & set("!?")
        name = before.split()[-1].lower() if before.split() else ""
        return not (lower or word[0].isdigit()) if dots else not (name in SHOUTED and not _starts(word, sign))
    return _full_stop(before, text[begin:at] if at - begin < 24 else "", begin == start, word, sign)


def _starts(word: str, sign: str) -> bool:
    """Is it a word that often begins a sentence, written as if it did?"""
    return word[0].isupper() and word.lower().replace("’", "'") in STARTERS and sign != "."


def _full_stop(before: str, so_far: str, first: bool, word: str, sign: str) -> bool:
    """Does a full stop end the sentence? What stands `before` it, the sentence `so_far` if it is short, whether that is the
    first of its line, and the next word with the sign after it."""
    if not before or before[-1].isspace():  # a stop that stands alone: . . .
        return word[0].isupper()
    last = before.split()
    token = last[-1].lstrip("([{\"'“‘«»„¿¡*_<>…—–-/°")
    lower, digit = word[0].islower(), word[0].isdigit()
    if not token or not (token[-1].isalnum() or token[-1] in "°"):
        return not lower or token == ""
    if first and so_far == token and _LABEL.fullmatch(token):
        return False
    names = {token.lower(), _PARTS.split(token.lower())[-1]}
    numbers = digit or (word.isupper() and word != "I" and _ROMAN.fullmatch(word) is not None)
    if names & NEVER or (names & NUMBERED and numbers):
        return False
    if names & HOURS:
        if len(so_far.split()) in (2, 3, 4) and so_far.split()[0].lower() in BEFORE_HOURS:
            return False
        return not lower and not digit and word.lower() not in DAYS
    if names & LISTED:
        return not lower and not digit
    letter, number = len(token) == 1 and token.isalpha(), token.isdigit()
    short = bool(names & SOMETIMES) or letter or _DOTTED.fullmatch(token) is not None
    if short and not (names & NUMBERED and token.islower() and not numbers and len(token) < 3):
        return _starts(word, sign)
    if number and len(token) < 3 and len(last) > 1 and last[-2].lower() in BEFORE_ORDINALS:
        return _starts(word, sign)
    if lower:
        return not (names & NUMBERED or number or _ROMAN.fullmatch(token)) and _VOWEL.search(token) is not None
    return True

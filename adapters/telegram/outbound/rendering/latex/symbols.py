"""Symbols of LaTeX as Unicode characters, and names that LaTeX sets upright."""

from __future__ import annotations

_TABLE = r"""
alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ mu μ nu ν
xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω digamma ϝ
Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
aleph ℵ beth ℶ gimel ℷ hbar ℏ hslash ℏ ell ℓ wp ℘ Re ℜ Im ℑ imath ı jmath ȷ partial ∂ nabla ∇ infty ∞ emptyset ∅ varnothing ∅
forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ diamond ⋄ Diamond ◇
lozenge ◊ star ⋆ bigstar ★ circ ∘ bullet • degree ° prime ′ backprime ‵ sharp ♯ flat ♭ natural ♮ checkmark ✓ dagger † ddagger ‡
spadesuit ♠ heartsuit ♥ diamondsuit ♦ clubsuit ♣ S § P ¶ copyright © pounds £ euro € yen ¥ complement ∁ surd √
"""

_OPERATORS = r"""
pm ± mp ∓ times × div ÷ cdot · cdotp · ast ∗ cap ∩ cup ∪ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ oplus ⊕ ominus ⊖ otimes ⊗
oslash ⊘ odot ⊙ uplus ⊎ sqcap ⊓ sqcup ⊔ amalg ⨿ wr ≀ ltimes ⋉ rtimes ⋊ bowtie ⋈ barwedge ⊼ veebar ⊻ triangleleft ◁ triangleright ▷
le ≤ leq ≤ leqslant ⩽ ge ≥ geq ≥ geqslant ⩾ ne ≠ neq ≠ ll ≪ gg ≫ lll ⋘ ggg ⋙ lesssim ≲ gtrsim ≳ equiv ≡ sim ∼ simeq ≃ approx ≈
approxeq ≊ cong ≅ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ propto ∝ varpropto ∝ prec ≺ succ ≻ preceq ⪯ succeq ⪰ parallel ∥ nparallel ∦
perp ⊥ mid ∣ nmid ∤ in ∈ notin ∉ ni ∋ owns ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋ nsubseteq ⊈ nsupseteq ⊉
sqsubset ⊏ sqsupset ⊐ sqsubseteq ⊑ sqsupseteq ⊒ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ nless ≮ ngtr ≯ nleq ≰ ngeq ≱ ncong ≇
to → rightarrow → longrightarrow ⟶ gets ← leftarrow ← longleftarrow ⟵ leftrightarrow ↔ longleftrightarrow ⟷ Rightarrow ⇒ Longrightarrow ⟹
implies ⟹ Leftarrow ⇐ Longleftarrow ⟸ impliedby ⟸ Leftrightarrow ⇔ Longleftrightarrow ⟺ iff ⟺ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓
updownarrow ↕ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀
rightharpoondown ⇁ leftharpoonup ↼ leftharpoondown ↽ rightleftharpoons ⇌ leftrightharpoons ⇋ rightsquigarrow ⇝ leadsto ⇝ twoheadrightarrow ↠
nrightarrow ↛ nleftarrow ↚ nRightarrow ⇏ circlearrowleft ↺ circlearrowright ↻ therefore ∴ because ∵ colon : dots … ldots … cdots ⋯ vdots ⋮
ddots ⋱ dotsb ⋯ dotsc … dotsm ⋯ lt < gt >
"""

_BIG = r"""
sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcap ⋂ bigcup ⋃ bigvee ⋁ bigwedge ⋀ bigoplus ⨁ bigotimes ⨂ bigodot ⨀ biguplus ⨄
bigsqcup ⨆ smallint ∫
"""

_BRACKETS = r"""
lbrace { rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lvert | rvert | vert | lVert ‖ rVert ‖ Vert ‖
lgroup ( rgroup ) ulcorner ⌜ urcorner ⌝ llbracket ⟦ rrbracket ⟧ backslash \
"""


def _table(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LETTERS = _table(_TABLE)
"""Symbols that stand for a quantity."""
OPERATORS = _table(_OPERATORS)
BIG_OPERATORS = _table(_BIG)
BRACKETS = _table(_BRACKETS)

FUNCTIONS = _names(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth log ln lg exp lim limsup liminf max min sup inf "
    "det dim ker deg gcd lcm hom arg Pr mod erf sgn sign rank tr diag span argmax argmin grad div curl rot var cov "
    "injlim projlim varlimsup varliminf"
)
"""Names of functions: more than one letter, and yet one symbol."""

FUNCTION_COMMANDS = FUNCTIONS - {
    "div",
    "mod",
    "lcm",
    "erf",
    "sgn",
    "sign",
    "rank",
    "tr",
    "diag",
    "span",
}

ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "overline": "\u0305", "vec": "\u20d7", "tilde": "\u0303",
    "widetilde": "\u0303", "dot": "\u0307", "ddot": "\u0308", "dddot": "\u20db", "check": "\u030c", "breve": "\u0306",
    "acute": "\u0301", "grave": "\u0300", "mathring": "\u030a", "underline": "\u0332",
}  # fmt: skip
LINES = frozenset({"overline", "underline"})
"""Accents that may go over several letters."""

ALPHABETS = {
    "mathbb": ("DOUBLE-STRUCK {}", "MATHEMATICAL DOUBLE-STRUCK {}"),
    "mathcal": ("SCRIPT {}", "MATHEMATICAL SCRIPT {}"),
    "mathscr": ("SCRIPT {}", "MATHEMATICAL SCRIPT {}"),
    "mathfrak": ("BLACK-LETTER {}", "MATHEMATICAL FRAKTUR {}"),
    "mathbf": ("MATHEMATICAL BOLD {}",),
    "boldsymbol": ("MATHEMATICAL BOLD {}",),
    "bm": ("MATHEMATICAL BOLD {}",),
}
"""Names of Unicode's letters of an alphabet, the first that exists."""

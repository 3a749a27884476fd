"""Twenty-four texts that editors, forms and databases like to damage; every path must keep them."""

from pathlib import Path

_CONTROLS_C0 = "".join(chr(code) for code in range(1, 32) if chr(code) not in "\r\n")
_CONTROLS_C1 = "".join(chr(code) for code in range(0x7F, 0xA0))

TEXTS: dict[str, str] = {
    "leading newlines": "\n\nFirst line after two newlines.",
    "trailing newlines": "A line before three newlines.\n\n\n",
    "only newlines": "\n\n\n\n",
    "CRLF": "One.\r\n\r\nTwo.\r\n",
    "lone CR": "One.\rTwo.\r\rThree.\r",
    "mixed newlines": "One.\nTwo.\r\nThree.\rFour.\n\r\nFive.\r\r\n",
    "tabs": "\tIndented.\n\t\tTwice.\tAnd between.\t",
    "emoji with joiners": "A family 👨‍👩‍👧‍👦, a thumb 👍🏽 and a heart ❤️‍🔥.",
    "flags": "🇨🇭🇨🇳🇯🇵 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "CJK": "第3页的图表显示了增长。これはテストです。한국어도 있습니다。",
    "bidi controls": "\u202bעברית\u202c and \u2067عربي\u2069 \u200e\u200f",
    "Unicode line ends": "One.\u2028Two.\u2029Three.\u0085Four.",
    "vertical tab": "One.\x0bTwo.\x0b",
    "form feed": "One.\x0cTwo.\x0c",
    "zero width": "zero\u200bwidth\u200cand\u200djoined\u2060text",
    "BOM": "\ufeffWith a byte order mark \ufeff in it.",
    "no-break space": "A\u00a0no-break\u202fspace\u00a0",
    "closes a textarea": "</textarea><script>alert('&amp;')</script>",
    "NFD": "cafe\u0301 \u212b A\u030a",
    "C0 controls": f"a{_CONTROLS_C0}b",
    "C1 controls": f"a{_CONTROLS_C1}b",
    "non-characters": "a\ufffe\uffff\U0001fffe\U0010ffffb",
    "Markdown": (
        "# Title\n\n- one\n  - two\n\n```py\n# no heading\n```\n\n> **bold** _it_  \n| a | b |\n"
    ),
    "60,001 characters": "0123456789 abcdefgh\n" * 3000 + "x",
}

DEMO = Path(__file__).parents[2] / "app" / "demo_data" / "longwriter-v"

# SPDX-License-Identifier: Apache-2.0
"""Functions that C99 lacks: the shift of a negative number, and arithmetic beyond 64 bits."""

from __future__ import annotations

import re
from collections.abc import Mapping

_WIDE_TYPE = """\
/* Two's complement in {words} words, the least significant first. */
typedef struct {{ uint32_t word[{words}]; }} wide;
"""

# In an order in which each uses only those before it.
_HELPERS: Mapping[str, str] = {
    "shift_int32": """\
/* floor(a / 2**bits): C leaves the right shift of a negative number to the compiler. */
static inline int32_t shift_int32(int32_t a, int bits) {{
  return a < 0 ? ~(~a >> bits) : a >> bits;
}}
""",
    "shift_int64": """\
/* floor(a / 2**bits): C leaves the right shift of a negative number to the compiler. */
static inline int64_t shift_int64(int64_t a, int bits) {{
  return a < 0 ? ~(~a >> bits) : a >> bits;
}}
""",
    "wide_of": """\
static inline wide wide_of({parameters}) {{
  const wide result = {{{{{arguments}}}}};
  return result;
}}
""",
    "wide_from": """\
static inline wide wide_from(int64_t a) {{
  wide result;
  for (int i = 0; i < {words}; i++)
    result.word[i] = i < 2 ? (uint32_t)((uint64_t)a >> (32 * i)) : a < 0 ? UINT32_MAX : 0;
  return result;
}}
""",
    "wide_to": """\
/* The number must fit an int64_t. */
static inline int64_t wide_to(wide a) {{
  const uint64_t bits = (uint64_t)a.word[1] << 32 | a.word[0];
  return a.word[1] >> 31 ? -(int64_t)~bits - 1 : (int64_t)bits;
}}
""",
    "wide_add": """\
static inline wide wide_add(wide a, wide b) {{
  wide result;
  uint64_t sum = 0;
  for (int i = 0; i < {words}; i++) {{
    sum = (sum >> 32) + a.word[i] + b.word[i];
    result.word[i] = (uint32_t)sum;
  }}
  return result;
}}
""",
    "wide_sub": """\
static inline wide wide_sub(wide a, wide b) {{
  wide result;
  uint64_t sum = (uint64_t)1 << 32;
  for (int i = 0; i < {words}; i++) {{
    sum = (sum >> 32) + a.word[i] + (uint32_t)~b.word[i];
    result.word[i] = (uint32_t)sum;
  }}
  return result;
}}
""",
    "wide_mul": """\
static inline wide wide_mul(wide a, wide b) {{
  wide result = {{{{0}}}};
  for (int i = 0; i < {words}; i++) {{
    uint64_t sum = 0;
    for (int k = i; k < {words}; k++) {{
      sum = (sum >> 32) + result.word[k] + (uint64_t)a.word[i] * b.word[k - i];
      result.word[k] = (uint32_t)sum;
    }}
  }}
  return result;
}}
""",
    "wide_and": """\
static inline wide wide_and(wide a, wide b) {{
  for (int i = 0; i < {words}; i++)
    a.word[i] &= b.word[i];
  return a;
}}
""",
    "wide_less": """\
static inline int wide_less(wide a, wide b) {{
  a.word[{last}] ^= 0x80000000u; /* the order of signed numbers is that of unsigned ones, so shifted */
  b.word[{last}] ^= 0x80000000u;
  for (int i = {last}; i >= 0; i--)
    if (a.word[i] != b.word[i])
      return a.word[i] < b.word[i];
  return 0;
}}
""",
    "wide_equal": """\
static inline int wide_equal(wide a, wide b) {{
  for (int i = 0; i < {words}; i++)
    if (a.word[i] != b.word[i])
      return 0;
  return 1;
}}
""",
    "shift_wide": """\
/* floor(a / 2**bits). */
static inline wide shift_wide(wide a, int bits) {{
  const uint32_t sign = a.word[{last}] >> 31 ? UINT32_MAX : 0;
  wide result;
  for (int i = 0; i < {words}; i++) {{
    const int k = i + bits / 32;
    const uint32_t low = k < {words} ? a.word[k] : sign, high = k < {last} ? a.word[k + 1] : sign;
    result.word[i] = (uint32_t)(((uint64_t)high << 32 | low) >> (bits % 32));
  }}
  return result;
}}
""",
}


def helpers(code: str, words: int) -> str:
    """Definitions of the helper functions that some code calls; a wide number has so many words."""
    names = [f"word{i}" for i in range(words)]
    values = {
        "words": words,
        "last": words - 1,
        "parameters": ", ".join(f"uint32_t {name}" for name in names),
        "arguments": ", ".join(names),
    }
    used = [text.format(**values) for name, text in _HELPERS.items() if re.search(rf"\b{name}\(", code)]
    if re.search(r"\bwide\b", code):
        used.insert(0, _WIDE_TYPE.format(**values))
    return "".join(f"{text}\n" for text in used)

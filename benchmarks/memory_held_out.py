"""The cases of `memory.py` that were kept aside, in three lots."""

from dataclasses import replace

from memory_case import (
    A9,
    BROAD,
    DOTS,
    EXPERTS,
    FINE,
    FOUR_CHOICES,
    FULL,
    GROUPED,
    GROUPED_EXPERTS,
    MIXTURE,
    NONE,
    ONE_KEY,
    SEVENTY,
    SWITCH,
    THIRTEEN,
    WIDE,
    WIDE_EXPERTS,
    Case,
    accumulate,
    experts,
    tensor,
    vocabulary,
)

# Chosen before any of them was compiled. One was missed, and decided on how tables are gathered for
# several microbatches.
FIRST = [
    Case(vocabulary(A9[816], 65_536), "816M, vocabulary 64k", 64, "v5e:2x4", FULL),
    Case(
        vocabulary(A9[1429], 151_936, False), "1.4B untied, vocabulary 152k", 256, "v5e:4x8", FULL
    ),
    Case(
        vocabulary(A9[2980], 256_000), "3.0B, vocabulary 256k", 256, "v5e:8x16", accumulate(FULL, 2)
    ),
    Case(vocabulary(A9[4516], 131_072), "4.5B, vocabulary 131k", 256, "v5p:4x4x4", DOTS),
    Case(THIRTEEN, "13B untied, vocabulary 128k", 256, "v5p:4x4x8", FULL),
    Case(SEVENTY, "70B grouped untied, vocabulary 128k", 512, "v5p:8x8x8", FULL),
    Case(
        replace(SEVENTY, seq_len=2048),
        "70B grouped untied, vocabulary 128k",
        512,
        "v5e:16x16",
        tensor(accumulate(FULL, 16), 8),
    ),
    Case(
        vocabulary(WIDE, 128_256, False), "83M wide untied, vocabulary 128k", 16, "v5p:2x2x1", NONE
    ),
    Case(GROUPED, "8B grouped, vocabulary 128k", 256, "v6e:8x8", FULL),
    Case(vocabulary(A9[2639], 128_000), "2.6B, vocabulary 128k", 128, "v4:4x4x4", DOTS),
    Case(experts(SWITCH, 64), "64 experts narrow", 256, "v5e:4x4", DOTS),
    Case(
        vocabulary(experts(GROUPED_EXPERTS, 8, 2), 100_352, False),
        "8 experts SwiGLU top-2 untied, vocabulary 100k",
        256,
        "v5e:8x8",
        FULL,
    ),
    Case(
        vocabulary(experts(FOUR_CHOICES, 16, 4), 50_304),
        "16 experts top-4, vocabulary 50k",
        128,
        "v5p:2x4x4",
        FULL,
    ),
    Case(
        replace(experts(EXPERTS, 128, 2), d_ff=1024),
        "128 experts top-2",
        256,
        "v5p:4x4x4",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(experts(WIDE_EXPERTS, 16), 128_000),
        "16 experts wide, vocabulary 128k",
        128,
        "v5e:8x8",
        tensor(FULL, 4),
    ),
    Case(experts(GROUPED_EXPERTS, 4), "4 experts SwiGLU", 128, "v6e:4x8", DOTS),
]

# Chosen after that, before any of these was compiled. Again one was missed. The lot decided on how
# output matrices of their own are gathered for several microbatches, and on the gathered experts.
SECOND = [
    Case(
        vocabulary(A9[9293], 100_352),
        "9.3B, vocabulary 100k",
        512,
        "v5e:16x16",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(A9[6796], 128_000, False),
        "6.8B untied, vocabulary 128k",
        256,
        "v5e:8x16",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(A9[3530], 200_064, False), "3.5B untied, vocabulary 200k", 256, "v5e:8x8", FULL
    ),
    Case(
        vocabulary(GROUPED, 128_256, False),
        "8B untied, vocabulary 128k",
        512,
        "v5p:4x4x4",
        accumulate(DOTS, 4),
    ),
    Case(vocabulary(A9[1609], 256_000), "1.6B, vocabulary 256k", 64, "v5p:2x2x2", FULL),
    Case(
        vocabulary(THIRTEEN, 151_936),
        "13B tied, vocabulary 152k",
        512,
        "v5e:16x16",
        tensor(accumulate(FULL, 2), 4),
    ),
    Case(
        vocabulary(A9[74], 256_000, False),
        "74M untied, vocabulary 256k",
        16,
        "v5e:1x1",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(MIXTURE, 128_000, False),
        "47B mixture untied, vocabulary 128k",
        512,
        "v5p:4x8x8",
        accumulate(FULL, 2),
    ),
    Case(FINE, "32 fine experts top-2, vocabulary 100k", 256, "v5p:4x4x8", DOTS),
    Case(experts(A9[489], 8), "8 experts of 489M", 256, "v5e:8x16", NONE),
    Case(
        vocabulary(experts(EXPERTS, 4, 2), 50_304),
        "4 experts top-2, vocabulary 50k",
        64,
        "v5e:2x4",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(experts(WIDE_EXPERTS, 64), 128_000),
        "64 experts wide, vocabulary 128k",
        128,
        "v6e:8x8",
        FULL,
    ),
]

# Chosen after that, before any of these was compiled.
THIRD = [
    Case(
        vocabulary(A9[2298], 128_000, False),
        "2.3B untied, vocabulary 128k",
        256,
        "v5e:4x8",
        accumulate(FULL, 4),
    ),
    Case(
        vocabulary(A9[12569], 256_000),
        "12.6B, vocabulary 256k",
        512,
        "v5p:4x4x8",
        accumulate(FULL, 2),
    ),
    Case(
        vocabulary(A9[3802], 100_352),
        "3.8B, vocabulary 100k",
        256,
        "v5e:8x16",
        accumulate(DOTS, 2),
    ),
    Case(ONE_KEY, "2.5B, vocabulary 256k", 64, "v6e:4x4", accumulate(FULL, 2)),
    Case(
        vocabulary(SEVENTY, 128_256),
        "70B grouped, vocabulary 128k",
        512,
        "v5p:4x8x8",
        tensor(FULL, 2),
    ),
    Case(
        vocabulary(GROUPED, 128_256, False),
        "8B untied, vocabulary 128k",
        512,
        "v4:4x4x8",
        accumulate(DOTS, 2),
    ),
    Case(vocabulary(A9[74], 128_000, False), "74M untied, vocabulary 128k", 64, "v5e:2x2", DOTS),
    Case(
        vocabulary(BROAD, 64_000, False),
        "13B mixture untied, vocabulary 64k",
        512,
        "v5e:16x16",
        FULL,
    ),
    Case(
        experts(A9[1018], 16, 2),
        "16 experts of 1.0B top-2",
        128,
        "v5p:4x4x4",
        accumulate(NONE, 2),
    ),
    Case(
        vocabulary(experts(EXPERTS, 32), 256_000),
        "32 experts, vocabulary 256k",
        128,
        "v5e:4x8",
        FULL,
    ),
    Case(
        replace(experts(FINE, 128, 8), n_layers=16, d_ff=768),
        "128 fine experts top-8",
        512,
        "v6e:16x16",
        FULL,
    ),
    Case(experts(WIDE, 4), "4 experts of 83M", 32, "v5e:1x1", accumulate(FULL, 4)),
]

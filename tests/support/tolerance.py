"""How far apart two computations of the same thing may be, and how far different things must be.

float32 rounds each result to 2^-24 of it, in an order that depends on processor, threads and batch.
Rounding errors of n operations in a row add up like a random walk, to sqrt(n) of one. A bound here
is that estimate; it leaves at least ten times what was measured with ATEN_CPU_CAPABILITY default,
avx2 and avx512, on one thread and on two.
"""

UNIT = 2.0**-24

# A sampling, as a share of its range. SDXL's 70 transformer blocks and 17 others are about 1000
# operations deep; two computations differ by two errors; guidance 5 weighs the two predictions with
# 5 and 4; the steps of a test add up.
SAMPLING = 2 * UNIT * 1000**0.5 * (5 + 4)  # 3.4e-5

# Features and tokens, whose values go up to 5. An encoder's 32 layers are about 300 operations
# deep, each of them sums over a thousand products, which are rounded in blocks: ten times one
# rounding.
ENCODING = 2 * UNIT * 300**0.5 * 5 * 10  # 1.0e-4

# What a change that acts does to a sampling, at the least: thirty times what rounding may do, a
# weak one three times.
EFFECT = 1e-3
SMALL_EFFECT = 1e-4

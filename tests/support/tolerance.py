"""How far apart two computations of the same thing may be, and how far different things must be.

float32 rounds each result to 2^-24 of it, in an order that depends on processor, threads and batch.
Rounding errors of n operations in a row add up like a random walk, to sqrt(n) of one. A bound here
is that estimate, or stands beside what was measured; either leaves at least ten times what was
measured, but for MODEL_CALL.
Measured were numbers of the core, encoders, and the identities of `test_sampling.py`, on one
machine with ATEN_CPU_CAPABILITY default, avx2 and avx512, on one thread or two.

Not here, but in the test, beside what explains it: the last digit of numbers that a test types, the
8 bits of a picture's file, and statistics of a test, as where a detector sees a face, how rough
noise is, or how many pixels change. Recorded outputs have a tolerance each in their record.
"""

UNIT = 2.0**-24

# A sampling, as a share of its range. SDXL's 70 transformer blocks and 17 others are about 1000
# operations deep; two computations differ by two errors; guidance 5 weighs the two predictions with
# 5 and 4; the steps of a test add up.
SAMPLING = 2 * UNIT * 1000**0.5 * (5 + 4)  # 3.4e-5

# The same of any of the host's samplers: three steps of two calls each, or predictions of earlier
# steps that count twice. One hundredth of a weight is more.
ANY_SAMPLER = 6 * SAMPLING  # 2.0e-4

# One call of the UNet, as a share of its range: two errors of 1000 operations, without guidance,
# are 3.8e-6. 1.25e-6 was measured, a quarter of this.
MODEL_CALL = 5e-6

# Features and tokens, whose values go up to 5. An encoder's 32 layers are about 300 operations
# deep, each of them sums over a thousand products, which are rounded in blocks: ten times one
# rounding.
ENCODING = 2 * UNIT * 300**0.5 * 5 * 10  # 1.0e-4

# Embeds by weights in float32 and by the same in a file of float16, which rounds to 2^-11.
STORED_IN_HALF = 4 * 2.0**-11  # 2.0e-3

# Face embeddings, as a share of their largest value, and the cosine of two: 2.5e-6 was measured.
IDENTITY = 4e-5

# Sums, norms and cosines of some tens of numbers up to 1: ten times what they may be.
ARITHMETIC = 2 * UNIT * 30**0.5 * 10  # 6.5e-6

# Formulas of some tens of operations in double precision, on numbers up to 10.
DOUBLE = 1e-12

# Pixels of a crop, from 0 to 1: 5.3e-6 was measured.
CROP = 1e-4

# Corners and landmarks in pictures up to 1401 pixels wide, and angles in degrees: 1.2e-4 of a pixel
# was measured.
PLACE = 2e-3

# What a change that acts does to a sampling, at the least: thirty times what rounding may do, a
# weak one three times, a whole adapter three hundred times.
EFFECT = 1e-3
SMALL_EFFECT = 1e-4
LARGE_EFFECT = 1e-2

# One call of a small FLUX.1 with 5 blocks, as a share of its range: 6e-7 was measured.
FLUX = 6e-6

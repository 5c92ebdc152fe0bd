/* random.c - Philox4x32-10, a counter-based generator.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <math.h>

void gr__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void block_of(uint64_t seed, uint64_t block, uint32_t out[4])
{
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    gr__philox(counter, key, out);
}

uint32_t gr__random_u32(uint64_t seed, uint64_t index)
{
    uint32_t out[4];
    block_of(seed, index / 4, out);
    return out[index % 4];
}

/* 52 bits, half a step away from 0 and 1 (with 53 the half would round up to 1). */
static double unit(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 12;
    return ((double)bits + 0.5) * 0x1p-52;
}

double gr__random_uniform(uint64_t seed, uint64_t index)
{
    uint32_t out[4];
    block_of(seed, index / 2, out);
    return index % 2 ? unit(out[2], out[3]) : unit(out[0], out[1]);
}

double gr__random_normal(uint64_t seed, uint64_t index)
{
    uint32_t out[4];
    block_of(seed, index / 2, out);
    double radius = sqrt(-2 * log(unit(out[0], out[1])));
    double angle = 6.283185307179586 * unit(out[2], out[3]);
    return index % 2 ? radius * sin(angle) : radius * cos(angle);
}

uint64_t gr__hash64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t gr__hash_join(uint64_t h, uint64_t x)
{
    return gr__hash64(h + 0x9e3779b97f4a7c15u + gr__hash64(x));
}

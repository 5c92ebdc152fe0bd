// peer_adolc.cpp - the scalar chain in ADOL-C: traced anew at each step, as a graph is that depends
// on data; the values that reverse needs are kept while tracing.
// SPDX-License-Identifier: MIT
#include "measure.h"

#include <adolc/adolc.h>

#include <cmath>
#include <cstdio>
#include <cstring>

namespace
{

const int steps = 100000;
const short tape = 1;
const unsigned buffer = 1 << 21; // elements; smaller ones would spill into files

double step(void *, int)
{
    double y, dy;
    trace_on(tape, 1, buffer, buffer, buffer, buffer);
    {
        adouble a;
        a <<= 0.5;
        for (int i = 0; i < steps; i++) a = sin(a * 1.0001 + 0.1);
        a >>= y;
    }
    trace_off();
    return reverse(tape, 1, 1, 0, 1.0, &dy) < 0 ? NAN : y + 0 * dy;
}

double result(void *state)
{
    return step(state, 0);
}

} // namespace

int main(int argc, char **argv)
{
    options o;
    if (!parse_options(argc, argv, &o) || std::strcmp(o.name, "chain") != 0) {
        std::fprintf(stderr, "usage: peer_adolc chain [--steps MOST] [--seconds S]\n");
        return 2;
    }
    const task t = {nullptr, step, result, false, "ADOL-C"};
    return measure(&t, &o, idle_mb()) ? 0 : 1;
}
